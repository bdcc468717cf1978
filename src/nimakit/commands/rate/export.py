"""`nimakit rate export`: export ratings and comparisons as files."""

import json
from pathlib import Path

import click

from nimakit.commands.rate.collection import FILE, of_collection, open_collection
from nimakit.errors import UsageError


@click.command("export")
@click.option("--labels", type=FILE, help="Write a label file with the number of raters per rating: .json.")
@click.option("--ratings", type=FILE, help="Write all ratings, with rater, time and file: .csv or .jsonl.")
@click.option("--pairs", type=FILE, help="Write all comparisons, two photos per row: .csv or .jsonl.")
@click.option("--pictures", type=FILE, help="Write a row per picture, with means or ranks: .csv or .jsonl.")
@click.option("--methods", type=FILE, help="Write a methods section and a data dictionary: .md.")
@click.option("--package", type=FILE, help="Write all as a Frictionless data package: .zip.")
@of_collection
def export(
    *,
    labels: Path | None,
    ratings: Path | None,
    pairs: Path | None,
    pictures: Path | None,
    methods: Path | None,
    package: Path | None,
    collection: str | None,
    data_dir: Path,
    database: str | None,
) -> int:
    """Export ratings and comparisons as files, and print how much each contains as JSON.

    Raters appear under pseudonyms. You can give the label file to ./train-local unchanged.

    \b
    Example:
      nimakit rate export --labels labels.json --ratings ratings.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import atomic_files, check_output

    wanted = {
        "labels": (labels, (".json",)),
        "ratings": (ratings, (".csv", ".jsonl")),
        "pairs": (pairs, (".csv", ".jsonl")),
        "pictures": (pictures, (".csv", ".jsonl")),
        "methods": (methods, (".md",)),
        "package": (package, (".zip",)),
    }
    files = {what: path for what, (path, _) in wanted.items() if path is not None}
    if not files:
        options = ", ".join(f"--{what}" for what in wanted)
        raise UsageError(f"Give at least one of {options}.")
    for what, path in files.items():
        check_output(path, wanted[what][1])
    with open_collection(data_dir, database, collection) as (opened, found):
        from nimakit.web.transfer.files import write_file

        with opened.read() as session, atomic_files([*files.values()]) as partials:
            counts = {
                str(path): write_file(session, found, what, partial)
                for (what, path), partial in zip(files.items(), partials, strict=True)
            }
    click.echo(json.dumps({"collection": found.slug, "files": counts}, indent=2))
    return 0

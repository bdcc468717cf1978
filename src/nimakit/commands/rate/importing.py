"""`nimakit rate import`: import ratings, comparisons or a list of pictures."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from nimakit.commands.rate.collection import FILE, of_collection, open_collection
from nimakit.errors import UsageError
from nimakit.progress import say


@click.command("import")
@click.option(
    "--ratings",
    type=FILE,
    help="Import a table with the columns image_id, user_id and rating: .csv, .tsv or .jsonl.",
)
@click.option(
    "--pairs", type=FILE, help="Import a table with the columns left, right and chosen: .csv, .tsv or .jsonl."
)
@click.option(
    "--list",
    "listed",
    type=FILE,
    help="Import the photos to rate, such as images.json from nimakit data index; all others are left out.",
)
@click.option("--skip-bad", is_flag=True, help="Skip bad rows, and list them.")
@of_collection
def import_(
    *,
    ratings: Path | None,
    pairs: Path | None,
    listed: Path | None,
    skip_bad: bool,
    collection: str | None,
    data_dir: Path,
    database: str | None,
) -> int:
    """Import ratings or the list of photos to rate, and print a summary as JSON.

    Importing a file again changes nothing.

    Exit code: 0 all imported, 1 refused, 2 bad rows were skipped.

    \b
    Example:
      nimakit rate import --ratings ratings.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    if sum(path is not None for path in (ratings, pairs, listed)) != 1:
        raise UsageError("Give exactly one of --ratings, --pairs and --list.")
    with open_collection(data_dir, database, collection) as (opened, found):
        from nimakit.io.tables import BadRows
        from nimakit.web.pictures.chosen_list import choose_listed
        from nimakit.web.transfer.imports import Imported, import_pairs, import_ratings

        rows = BadRows(skip=skip_bad)
        if ratings is not None:
            imported = import_ratings(opened, found, ratings, rows)
        elif pairs is not None:
            imported = import_pairs(opened, found, pairs, rows)
        elif listed is not None:
            chosen, problems = choose_listed(opened, found, listed, skip_bad=skip_bad)
            imported = Imported(taken=chosen, problems=problems)
    for problem in imported.problems:
        say(problem)
    click.echo(json.dumps({"collection": found.slug, **asdict(imported)}, indent=2))
    return 2 if imported.problems else 0

"""`nimakit rate import`: ratings, comparisons and lists of pictures that were made elsewhere."""

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
    help="A table with the columns image_id, user_id and rating: .csv, .tsv or .jsonl.",
)
@click.option(
    "--pairs", type=FILE, help="A table with the columns left, right and chosen: .csv, .tsv or .jsonl."
)
@click.option(
    "--list",
    "listed",
    type=FILE,
    help="An images.json, as nimakit data index writes it: these photos are rated, all others left out.",
)
@click.option("--skip-bad", is_flag=True, help="Leave bad rows out, and list them.")
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
    """Import ratings made elsewhere, or the list of photos to rate; a summary goes to stdout as JSON.

    A file that is imported twice counts once.

    Exit code: 0 all taken in, 1 refused, 2 bad rows were left out.

    \b
    Example:
      nimakit rate import --ratings ratings.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    if sum(path is not None for path in (ratings, pairs, listed)) != 1:
        raise UsageError("An import takes one of --ratings, --pairs and --list.")
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

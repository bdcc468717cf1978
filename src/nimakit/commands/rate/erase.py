"""`nimakit rate erase`: erase one rater's data for good."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from nimakit.commands.rate.collection import data_dir, database, open_database


@click.command("erase")
@click.argument("rater")
@click.option("--yes", is_flag=True, help="Erase the data. Otherwise only print what that would change.")
@data_dir
@database
def erase(*, rater: str, yes: bool, data_dir: Path, database: str | None) -> int:
    """Erase all data of one RATER for good, and print what that changes as JSON.

    RATER is the pseudonym on the page People. The ratings, comparisons and flags in all collections go,
    earlier ones included, and so do the taste files, sessions, links and the account. Nothing is erased
    without --yes. The app may keep running. Raters with the same id on a platform are listed as
    same_person, and stay.

    \b
    Example:
      nimakit rate erase r1a2b3c4 --yes
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    with open_database(data_dir, database) as opened:
        from nimakit.web.collections import erasure
        from nimakit.web.settings import read_settings

        settings = read_settings(folders=(), data_dir=data_dir, database=database, environment={})
        if yes:
            effect = erasure.erase(opened, settings, rater)
        else:
            with opened.read() as session:
                effect = erasure.effect_of(session, erasure.find_rater(session, rater), settings)
    click.echo(json.dumps({"erased": yes, **asdict(effect)}, indent=2))
    return 0

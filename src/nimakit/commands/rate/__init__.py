"""`nimakit rate`: the app to rate photographs in a browser, and commands about its ratings."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.rate.collection import FILE, data_dir, database, require
from nimakit.commands.rate.erase import erase
from nimakit.commands.rate.export import export
from nimakit.commands.rate.importing import import_
from nimakit.commands.sections import Sections

if TYPE_CHECKING:
    from nimakit.web.settings import Settings


@click.group(cls=Sections, invoke_without_command=True)
@click.option(
    "--images",
    "folders",
    multiple=True,
    type=FILE,
    metavar="DIR",
    help="Folder of photographs to rate, with its sub-folders. Can be repeated.",
)
@click.option("--name", help="Name of a new collection.  [default: the folder's name]")
@click.option(
    "--experiment",
    type=click.Choice(["score", "rate", "preference", "best-worst", "cull"]),
    help="Experiment of a new collection: score each photo, rate by correcting the predicted score, choose"
    " the better of two (preference), choose the best and the worst of several (best-worst), or pick the best"
    " of each group of similar photos (cull).  [default: score]",
)
@click.option("--scale", metavar="LOW-HIGH", help="Rating scale of a new collection.  [default: 1-10]")
@click.option(
    "--choices",
    type=click.Choice(["2", "4", "5", "6"]),
    help="Photos per comparison of a new collection: 2 or 4 in a preference, 4 to 6 in best-worst."
    "  [default: 2, or 4 in best-worst]",
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="Model that predicts scores in a new collection: a public model (aesthetic, technical), an .onnx"
    " file, or an ensemble .json.  [default: aesthetic if scores are shown, else none]",
)
@click.option(
    "--encoder",
    metavar="NAME|FILE",
    help="Encoder whose features a new collection learns its own model from: a public encoder, such as"
    " efficientnet-lite2, or an .onnx file.  [default: the features of its model]",
)
@click.option(
    "--personal",
    is_flag=True,
    default=None,
    help="Learn each rater's taste in a new collection, and predict personal scores.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, help="Port; 0 for any free one.  [default: 8000]"
)
@click.option(
    "--url", help="Address that raters open if there is a proxy in front, such as https://rate.example.org."
)
@click.option(
    "--no-browser", is_flag=True, help="Do not open a browser when started from a desktop terminal."
)
@data_dir
@database
@click.pass_context
def rate(
    context: click.Context,
    /,
    *,
    folders: tuple[Path, ...],
    host: str,
    port: int,
    url: str | None,
    no_browser: bool,
    data_dir: Path,
    database: str | None,
    **values: Any,  # settings of a new collection
) -> int:
    """Rate photographs in a browser, only on this machine or with others by invitation.

    Set everything else (ratings wanted, order, invitations) on the pages of the app. If other machines can
    reach it, the admin signs in with the password in NIMAKIT_RATE_PASSWORD.

    \b
    Example:
      nimakit rate --images data/samples
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    if context.invoked_subcommand is not None:
        return 0
    require()
    # Before NumPy is imported: its own threads do not have the low priority of the background work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from nimakit.web.collections.setup import open_collections
    from nimakit.web.server import serve
    from nimakit.web.settings import read_settings

    settings = read_settings(
        folders=folders, data_dir=data_dir, database=database, host=host, port=port, url=url
    )
    names = open_collections(settings, {key: value for key, value in values.items() if value is not None})
    serve(settings, f"{names} (kept in {_place(settings)})", opens_browser=not no_browser)
    return 0


def _place(settings: "Settings") -> str:
    """Where ratings are stored, relative to the working folder if it is inside."""
    from nimakit.web.db.database import Database

    place = str(Database(settings.database))
    return os.path.relpath(place) if Path(place).is_relative_to(Path.cwd()) else place


rate.add_section("Move ratings", export, import_)
rate.add_section("Protect raters", erase)

"""Options that the rate commands share, and access to the collection they name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.errors import UsageError, require_extra

if TYPE_CHECKING:
    from nimakit.web.db.database import Database
    from nimakit.web.db.tables import Collection

FILE = click.Path(path_type=Path)

data_dir = click.option(
    "--data-dir",
    type=FILE,
    default=Path("ratings"),
    help="Folder of the ratings, small copies of photos and the app's secret.  [default: ratings]",
)
database = click.option(
    "--database",
    envvar="DATABASE_URL",
    metavar="URL",
    help="Database: postgresql://USER@HOST/NAME or sqlite:///PATH. The variable DATABASE_URL also sets it."
    "  [default: ratings.db in the data folder]",
)
_collection = click.option(
    "--collection",
    metavar="NAME",
    help="The collection, if there are several: its name in the addresses of its pages.",
)


def of_collection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command about one collection."""
    return _collection(data_dir(database(command)))


def require() -> None:
    """Check that the libraries of the app are installed.

    Raises:
        MissingExtraError: One of them is missing.
    """
    libraries = ("alembic", "flask_login", "flask_wtf", "gunicorn", "sqlalchemy")
    require_extra("rate", "The rating app needs more libraries.", *libraries)


@contextmanager
def open_collection(
    data_dir: Path, url: str | None, slug: str | None
) -> Iterator[tuple["Database", "Collection"]]:
    """Open the database, and find the collection of a command.

    Raises:
        UsageError: There is no such collection, or there are several and none was named.
    """
    with open_database(data_dir, url) as database:
        from nimakit.web.db.queries import find_collection

        with database.read() as session:
            collection = find_collection(session, slug)
        yield database, collection


@contextmanager
def open_database(data_dir: Path, url: str | None) -> Iterator["Database"]:
    """Open the database of a command.

    Raises:
        UsageError: There is none.
    """
    require()
    from nimakit.web.db.database import Database, sqlite_url

    file = data_dir / "ratings.db"
    if url is None and not file.is_file():
        raise UsageError(
            f"--data-dir must be a data folder of ./rate. Received: {data_dir}, which has no ratings"
        )
    database = Database(url or sqlite_url(file))
    try:
        database.migrate()
        yield database
    finally:
        database.close()

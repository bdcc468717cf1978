"""Databases with a scanned collection: made once for each kind of collection, then copied for each test."""

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nimakit.web.app import create_app, services_of
from nimakit.web.collections.setup import open_collections
from nimakit.web.db.database import sqlite_url
from nimakit.web.settings import Settings


class Opened:
    """Databases whose collection has been created and scanned.

    Args:
        photographs: The photographs that tests copy.
        tables: The database without rows that tests copy.
        folder: Where to keep the databases.
    """

    def __init__(self, photographs: Path, tables: Path, folder: Path) -> None:
        self._photographs = photographs
        self._tables = tables
        self._folder = folder
        self._made: dict[str, Path] = {}

    def copy(self, settings: Settings, values: Mapping[str, object]) -> bool:
        """Replace the database of a test by one whose collection has been scanned.

        Returns:
            False if the test needs a scan of its own: it has changed its photographs or its database, or uses
            PostgreSQL, several folders, or a model, which is loaded after the scan.
        """
        database = settings.data_dir / "ratings.db"
        if (
            settings.database != sqlite_url(database)
            or "model" in values
            or len(settings.folders) != 1
            or _listed(settings.folders[0]) != _listed(self._photographs)
            or (database.exists() and database.read_bytes() != self._tables.read_bytes())
        ):
            return False
        key = repr((sorted(values.items()), settings.host, settings.url, settings.password))
        if key not in self._made:
            self._made[key] = self._make(settings, values, self._folder / str(len(self._made)))
        shutil.copyfile(self._made[key], database)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE collection SET folder = ?", (str(settings.folders[0]),))
        return True

    def _make(self, settings: Settings, values: Mapping[str, object], folder: Path) -> Path:
        folder.mkdir()
        made = shutil.copyfile(self._tables, folder / "ratings.db")
        own = replace(settings, folders=(self._photographs,), data_dir=folder, database=sqlite_url(made))
        open_collections(own, dict(values))
        services = services_of(create_app(own, background=False))
        services.background.once()
        services.database.close()
        return made


def _listed(folder: Path) -> list[tuple[Path, int, int]]:
    """Every file of a folder, with its size and time."""
    found = []
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            about = path.lstat()
            found.append((path.relative_to(folder), about.st_size, about.st_mtime_ns))
    return sorted(found)

"""A PostgreSQL server of Debian's package for tests, in a temporary folder, reached by a socket in it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL

REQUIRED_VARIABLE = "NIMAKIT_REQUIRE_POSTGRES"

_PACKAGE = Path("/usr/lib/postgresql")
_SETTINGS = (
    "listen_addresses=",  # the socket alone: its folder is the server's user's, and root's
    "fsync=off",  # whether it syncs is PostgreSQL's to test
    "max_connections=200",
)


class Postgres:
    """A server that runs.

    Args:
        folder: Holds its data and its socket.
        binaries: Folder of its programs.
        user: Whose it is; none where that is the user of the tests.
    """

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self._folder = folder
        self._binaries = binaries
        self._user = user
        self._made = 0

    def url(self, name: str) -> str:
        """The address of a database."""
        query = {"host": str(self._folder)}
        return URL.create("postgresql", "postgres", database=name, query=query).render_as_string()

    def create(self, template: str = "template1") -> str:
        """Make a database; its name.

        Args:
            template: The database it is a copy of.
        """
        self._made += 1
        name = f"test{self._made}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._administrate(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self._administrate(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self) -> None:
        """Start it, until it answers."""
        self.control("start", "--log", str(self._folder / "log"))

    def control(self, action: str, *options: str) -> None:
        """Start, stop or restart it by pg_ctl, and wait until that is done."""
        self.run("pg_ctl", action, "--pgdata", str(self._folder / "data"), "--wait", "--silent", *options)

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of the package as the server's user."""
        subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self._folder,
            user=self._user,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=120,
        )

    def _administrate(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running(*settings: str) -> Iterator[Postgres]:
    """A new server, stopped and deleted at the end; skips, with the reason, where none is installed.

    Args:
        settings: Of the server, over those for tests: ``name=value``.
    """
    binaries = _binaries()
    # It refuses to run as root. Its folder is not below pytest's, which nobody else may enter.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="nimakit-postgres-") as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        server = Postgres(folder, binaries, user)
        server.run("initdb", "--pgdata", "data", "--auth", "trust", "--username", "postgres", "--no-sync")
        with (folder / "data" / "postgresql.auto.conf").open("a") as stream:
            for setting in (*_SETTINGS, f"unix_socket_directories={folder}", *settings):
                key, _, value = setting.partition("=")
                stream.write(f"{key} = '{value}'\n")
        server.start()
        try:
            yield server
        finally:
            server.control("stop", "--mode", "immediate")


def _binaries() -> Path:
    """Where the programs of the newest version are."""
    versions = sorted(_PACKAGE.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    if found is None:
        reason = "PostgreSQL is not installed: apt-get install postgresql"
        (pytest.fail if os.environ.get(REQUIRED_VARIABLE) else pytest.skip)(reason)
    return Path(found).parent

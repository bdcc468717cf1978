"""The database: SQLite in WAL mode, or PostgreSQL; sessions that read, sessions that write, migrations."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.orm import Session

from nimakit.errors import StorageError, UsageError, first_line
from nimakit.io.atomic import keep_private

_CONNECTIONS = 20
_SECONDS_TO_WAIT = 15
_SECONDS_TRUSTED = 1.0
"""Within which a connection that was used is not asked again whether it is there."""
_MIGRATION_LOCK = 6_290_173
"""Names, within a PostgreSQL database, the lock that a migration holds."""


class Database:
    """Where ratings are kept.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://...``.

    Raises:
        UsageError: Another kind of address.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)
        self._glancing = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._writing = self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        # SQLite has one writer at a time, and those who wait for it sleep longer and longer; waiting here
        # instead is fair, and as short as the writing is.
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()

    def __str__(self) -> str:
        if self.is_sqlite:
            return self._url.database or ""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees the database as it is now, and changes nothing.

        Raises:
            StorageError: The database cannot be read.
            UsageError: No row can hold what was asked for.
        """
        with _reported(self), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def glance(self) -> Iterator[Session]:
        """As `read`, for what every rating waits for: rows cannot be streamed.

        PostgreSQL is asked without a transaction: each statement of one would see what is committed by then
        all the same, and beginning and ending it is two ways more.

        Raises:
            StorageError: The database cannot be read.
            UsageError: No row can hold what was asked for.
        """
        with _reported(self), Session(self._glancing, autoflush=False, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are all on the disk when it ends, or, after an error, not made at all.

        Raises:
            StorageError: The database cannot be written: a full disk, most likely.
            UsageError: No row can hold what was to be written.
        """
        with (
            _reported(self),
            self._turn,
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def migrate(self) -> None:
        """Bring the tables up to what this version needs; processes that start together take turns.

        Raises:
            StorageError: The database cannot be used, or was made by a newer version.
        """
        config = alembic.config.Config()
        folder = Path(__file__).parent / "migrations"
        if self.is_sqlite:
            _keep_private(Path(str(self)))
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        try:
            with _reported(self), self._writing.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                config.attributes["connection"] = connection
                alembic.command.upgrade(config, "head")
        except CommandError as error:
            raise StorageError(
                f"The database was made by another version of nimakit. Received: {self} ({error})."
                " Use that version or a newer one."
            ) from error

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def sqlite_url(path: Path) -> str:
    """The address of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _checked(url: str) -> URL:
    rule = "A database is sqlite:///PATH or postgresql://USER@HOST/NAME."
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"{rule} Received: what is no address at all") from error
    if backend in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise UsageError(f"{rule} Received: {parsed.render_as_string(hide_password=True)}")
    return parsed


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        connect_args={"timeout": _SECONDS_TO_WAIT, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, where they can be told apart
        # FULL: an acknowledged rating is on the disk, even where the machine loses power.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _keep_private(path: Path) -> None:
    """Have the file, and what SQLite makes next to it with the same rights, read by its owner only."""
    with suppress(OSError):  # of which SQLite says more
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for suffix in ("", "-wal", "-shm"):
        keep_private(path.with_name(path.name + suffix))


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        connect_args={"connect_timeout": _SECONDS_TO_WAIT},
    )

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        # A server that was restarted is found again. The pool's own ping would be sent before every request.
        if time.monotonic() - record.info.get("used", 0.0) > _SECONDS_TRUSTED:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error

    return engine


@contextmanager
def _reported(database: Database) -> Iterator[None]:
    """What the database could not do becomes an error that says what to do; mistakes of ours stay."""
    try:
        yield
    except (DataError, UnicodeEncodeError, OverflowError) as error:  # the latter before they are sent
        raise UsageError(
            "Text must be valid Unicode without NUL characters, and numbers must fit the database."
            " Something in the request does not."
        ) from error
    except DBAPIError as error:
        if not _is_failure(database, error.orig):
            raise
        reason = first_line(error.orig) if isinstance(error.orig, Exception) else "no reason given"
        rule = "The database must be reachable and have room to write"
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            rule += ", and SQLite room for temporary files (TMPDIR)"
        raise StorageError(f"{rule}. Received: {database} ({reason}).") from error


def _is_failure(database: Database, error: BaseException | None) -> bool:
    """Whether the database failed, and not what was asked of it."""
    dialect = database.engine.dialect.loaded_dbapi
    kinds = (dialect.OperationalError, dialect.InternalError)
    return isinstance(error, kinds) or type(error) is dialect.DatabaseError  # the latter: a damaged file

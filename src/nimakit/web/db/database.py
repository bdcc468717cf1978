"""The database of ratings, in SQLite or PostgreSQL: read and write sessions, and migrations."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.orm import Session

from nimakit.errors import StorageError, UsageError, first_line
from nimakit.io.atomic import keep_private
from nimakit.web.db.tables import Base

_CONNECTIONS = 20
_SECONDS_TO_WAIT = 15
_SECONDS_TRUSTED = 1.0
"""A PostgreSQL connection that was used within this time is not pinged again."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 6_290_173
"""Key of the PostgreSQL advisory lock of a migration."""


class Database:
    """A database of ratings.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://...``.

    Raises:
        UsageError: The URL is of another kind.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)
        self._autocommit = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._writing = self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        # SQLite has one writer, and its waiting clients sleep for longer and longer. A lock is fair, and ends
        # as soon as the other has written.
        self._write_lock = threading.Lock() if self.is_sqlite else nullcontext()

    def __str__(self) -> str:
        if self.is_sqlite:
            return self._url.database or ""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for reading.

        Raises:
            StorageError: The database cannot be read.
            UsageError: A value in a condition does not fit the database.
        """
        with _translated_errors(self), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def read_autocommit(self) -> Iterator[Session]:
        """Open a session for reading without a transaction, for the requests of every rating.

        On PostgreSQL this saves two round trips, and loses nothing: within a transaction, too, each statement
        would see what is committed by then. Rows cannot be streamed.

        Raises:
            StorageError: The database cannot be read.
            UsageError: A value in a condition does not fit the database.
        """
        with (
            _translated_errors(self),
            Session(self._autocommit, autoflush=False, expire_on_commit=False) as session,
        ):
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session whose changes are all on disk when it ends, or all undone after an error.

        Raises:
            StorageError: The database cannot be written, most likely because the disk is full.
            UsageError: A value does not fit the database.
        """
        with (
            _translated_errors(self),
            self._write_lock,
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def erase(self) -> Iterator[Session]:
        """Open a session as `write` does, whose deleted rows also leave SQLite's file and its log.

        PostgreSQL overwrites them when its autovacuum has freed their room.

        Raises:
            StorageError: The database cannot be written.
        """
        with self.write() as session:
            if self.is_sqlite:
                session.execute(text("PRAGMA secure_delete = ON"))
            yield session
        if self.is_sqlite:
            # The log is emptied now if nobody reads from it, and else by the next writer that finds it full.
            with _translated_errors(self), self._autocommit.connect() as connection:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.exec_driver_sql("BEGIN")

    def migrate(self) -> None:
        """Create the tables, or update those of an earlier version. Concurrent processes take turns.

        Raises:
            StorageError: The database cannot be used, or was made by a newer version.
        """
        config = alembic.config.Config()
        if self.is_sqlite:
            _keep_private(Path(str(self)))
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        try:
            with _translated_errors(self), self._writing.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                config.attributes["connection"] = connection
                revision = MigrationContext.configure(connection).get_current_revision()
                if revision is None:
                    Base.metadata.create_all(connection, checkfirst=False)
                    alembic.command.stamp(config, "head")
                elif revision != _newest_revision():
                    alembic.command.upgrade(config, "head")
        except CommandError as error:
            raise StorageError(
                f"The database was made by another version of nimakit. Received: {self} ({error})."
                " Use that version or a newer one."
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@cache
def _newest_revision() -> str | None:
    """Read once: Alembic runs every file of the migrations for it."""
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _checked(url: str) -> URL:
    rule = "A database must be sqlite:///PATH or postgresql://USER@HOST/NAME."
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"{rule} Received: text that is not a URL") from error
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
        connection.isolation_level = None  # transactions begin below, which can tell readers from writers
        # FULL: an acknowledged rating survives a power cut.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _keep_private(path: Path) -> None:
    """Give only the owner access to the file and to those that SQLite creates next to it."""
    with suppress(OSError):  # SQLite reports it in more detail
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
        # Reconnects to a restarted server. The pool's own pre-ping would cost a round trip on every request.
        if time.monotonic() - record.info.get("used", 0.0) > _SECONDS_TRUSTED:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error

    return engine


@contextmanager
def _translated_errors(database: Database) -> Iterator[None]:
    """Translate errors of the database and of its input; programming errors are raised as they are."""
    try:
        yield
    except (DataError, UnicodeEncodeError, OverflowError) as error:  # the last two by the driver
        raise UsageError(
            "Text must be valid Unicode without NUL characters, and numbers must fit the database."
            " A value in the request does not."
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
    """Whether the database failed, rather than the statement being wrong."""
    dialect = database.engine.dialect.loaded_dbapi
    kinds = (dialect.OperationalError, dialect.InternalError)
    return isinstance(error, kinds) or type(error) is dialect.DatabaseError  # a damaged file

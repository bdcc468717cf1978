"""The database: migrations, durability, and what happens when it cannot be used."""

import multiprocessing
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from nimakit.errors import StorageError, UsageError
from nimakit.web.db.database import Database, sqlite_url
from nimakit.web.db.tables import (
    CHOICE,
    MISSING,
    RATING,
    SKIP,
    TIE,
    Base,
    Choice,
    Collection,
    Event,
    Image,
    Rater,
    Rating,
)
from nimakit.web.rating.store import NewEvent, store_events
from postgres import Postgres
from web.study import POSTGRESQL, SQLITE, on_both


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database, with its tables."""
    made = Database(database_url)
    made.migrate()
    yield made
    made.close()


@on_both
def test_migrations_bring_the_first_tables_up_to_the_models(empty_url: str, engine: str) -> None:
    """Alembic finds no difference between the migrated tables and the models."""
    database = Database(empty_url)
    statements = (Path(__file__).parent / f"first_tables.{engine}.sql").read_text("utf-8").split(";\n")
    with database.engine.begin() as connection:
        for statement in filter(str.strip, statements):
            connection.exec_driver_sql(statement)
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


@on_both
def test_migrating_again_changes_nothing(database: Database) -> None:
    """Every start migrates; existing rows stay."""
    with database.write() as session:
        session.add(Rater(code="r1"))
    database.migrate()
    with database.read() as session:
        assert session.scalars(select(Rater.code)).all() == ["r1"]


def test_only_its_owner_reads_the_database(tmp_path: Path) -> None:
    """The file and those that SQLite creates next to it; a readable one becomes private."""
    path = tmp_path / "ratings.db"
    for _ in range(2):
        database = Database(sqlite_url(path))
        database.migrate()
        with database.write() as session:
            session.add(Rater(code=secrets.token_hex(4)))
        files = sorted(tmp_path.iterdir())
        assert [file.name for file in files] == ["ratings.db", "ratings.db-shm", "ratings.db-wal"]
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        for file in files:
            file.chmod(0o644)
        database.close()


def test_a_group_that_was_let_in_stays_in(tmp_path: Path) -> None:
    """Permissions that were given on purpose are kept."""
    path = tmp_path / "ratings.db"
    path.touch()
    path.chmod(0o640)
    database = Database(sqlite_url(path))
    database.migrate()
    database.close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_names_in_an_older_database_get_their_one_spelling(tmp_path: Path) -> None:
    """A decomposed umlaut is composed; the path of a file stays as it is on disk."""
    database = Database(sqlite_url(tmp_path / "old.db"))
    database.migrate()
    mac, one = "Zu\u0308rich", "Z\u00fcrich"

    def picture(path: str, name: str = mac, collection: int = 1) -> Image:
        return Image(collection_id=collection, path=path, image_id=name, size=1, mtime_ns=1)

    with database.write() as session:
        session.add_all(Collection(slug=slug, name=slug, folder=slug) for slug in "ab")
        session.flush()
        session.add_all([picture(f"{mac}.jpg"), picture(f"a/{mac}.jpg"), picture(mac)])
        session.add_all([picture(mac, collection=2), picture(one, one, collection=2)])
        _return_to_old(session)
    database.migrate()
    with database.read() as session:
        found = session.execute(select(Image.path, Image.image_id).order_by(Image.id)).all()
    database.close()
    names = [f"{mac}.jpg", f"a/{mac}.jpg", one, one]
    assert [tuple(row) for row in found] == [(name, one) for name in names]


def _return_to_old(session: Session) -> None:
    """Undo the migrations after revision 0006."""
    studies = ("platform_id", "participation", "study_version", "study")
    checks = ("exclusion", "attention", "gold", "checks")
    for table in (
        "ended_session",
        "learned",
        "learning_point",
        "erasure",
        "flag",
        "grouped_image",
        "grouping",
        *studies,
        *checks,
    ):
        session.execute(text(f"DROP TABLE {table}"))
    columns = {
        "collection": ("encoder", "archived_at", "deleted_at", "removed_at"),
        "invitation": ("nonce",),
        "event": ("worst_id",),
        "choice": ("worst",),
    }
    for table, names in columns.items():
        for name in names:
            session.execute(text(f"ALTER TABLE {table} DROP COLUMN {name}"))
    done = (f"{table}_collection_id_round_rater_id" for table in ("rating", "choice"))
    for index in ("rating_event_id", "choice_event_id", "choice_chosen", *done):
        session.execute(text(f"DROP INDEX ix_{index}"))
    session.execute(text("UPDATE alembic_version SET version_num = '0006'"))


def _rating(key: int, image: int, rater: int, value: float) -> NewEvent:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=key)
    said: dict[str, Any] = {"source": "app", "value": value, "image_id": image, "rater_id": rater}
    return NewEvent(client_id=f"e{key}", collection_id=1, kind=RATING, occurred_at=at, received_at=at, **said)


@on_both
def test_a_picture_that_waits_in_another_spelling_is_merged_with_its_file(database: Database) -> None:
    """Its ratings move to the picture of the file; of two ratings by one rater, the later counts."""
    with database.write() as session:
        session.add(Collection(slug="a", name="a", folder="/a"))
        session.add_all(Rater(code=code) for code in ("r1", "r2", "r3"))
        session.flush()
        values = {"collection_id": 1, "size": 1, "mtime_ns": 1}
        session.add(Image(path="Z\u00fcrich.jpg", image_id="Z\u00fcrich", **values))
        session.flush()
        session.add(Image(path="Zu\u0308rich", image_id="Zu\u0308rich", state=MISSING, **values))
        session.add(Image(path="b.jpg", image_id="b", **values))
        session.flush()
        found, waiting, other = session.scalars(select(Image.id).order_by(Image.id))
        said = [
            (found, 1, 3),
            (waiting, 1, 5),
            (waiting, 2, 7),
            (found, 2, 8),
            (waiting, 3, 9),
            (other, 3, 1),
        ]
        store_events(session, [_rating(key, *row) for key, row in enumerate(said)])
        _return_to_old(session)
    database.migrate()
    with database.read() as session:
        pictures = session.execute(
            select(Image.path, Image.image_id, Image.count, Image.total, Image.squares).order_by(Image.id)
        ).all()
        ratings = session.execute(
            select(Rating.rater_id, Rating.value).where(Rating.image_id == found).order_by(Rating.rater_id)
        ).all()
        events = session.scalars(select(Event.image_id).order_by(Event.id)).all()
    assert [tuple(row) for row in pictures] == [
        ("Z\u00fcrich.jpg", "Z\u00fcrich", 3, 22, 25 + 64 + 81),
        ("b.jpg", "b", 1, 1, 1),
    ]
    assert [tuple(row) for row in ratings] == [(1, 5), (2, 8), (3, 9)]
    assert events == [found] * 5 + [other]


@on_both
def test_comparisons_of_a_picture_in_another_spelling_are_its_files(database: Database) -> None:
    """The pictures shown and chosen, and the shares they won."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with database.write() as session:
        session.add(Collection(slug="a", name="a", folder="/a", experiment="preference"))
        session.add(Rater(code="r1"))
        session.flush()
        values = {"collection_id": 1, "size": 1, "mtime_ns": 1}
        for path, name in (
            ("Z\u00fcrich.jpg", "Z\u00fcrich"),
            ("Zu\u0308rich", "Zu\u0308rich"),
            ("b.jpg", "b"),
        ):
            session.add(Image(path=path, image_id=name, **values))
            session.flush()
        said = [(CHOICE, 1, [1, 3]), (CHOICE, 2, [3, 2]), (TIE, None, [2, 3]), (SKIP, None, [2, 3])]
        times: dict[str, Any] = {
            "collection_id": 1,
            "rater_id": 1,
            "occurred_at": at,
            "received_at": at,
            "source": "app",
        }
        store_events(
            session,
            [
                NewEvent(
                    client_id=f"e{key}", trial=f"t{key}", kind=kind, image_id=image, shown=shown, **times
                )
                for key, (kind, image, shown) in enumerate(said)
            ],
        )
        _return_to_old(session)
    database.migrate()
    with database.read() as session:
        sums = session.execute(select(Image.id, Image.count, Image.total, Image.squares)).all()
        choices = session.execute(select(Choice.chosen, Choice.shown).order_by(Choice.trial)).all()
        events = session.execute(select(Event.image_id, Event.shown).order_by(Event.id)).all()
    assert sorted(tuple(row) for row in sums) == [(1, 3, 2.5, 2.25), (3, 3, 0.5, 0.25)]
    assert choices == events
    assert [tuple(row) for row in events] == [(1, [1, 3]), (1, [3, 1]), (None, [1, 3]), (None, [1, 3])]


@on_both
def test_half_a_character_is_refused(database: Database) -> None:
    """JSON can contain a lone surrogate, a database cannot."""
    with pytest.raises(UsageError, match="Text must be valid Unicode"), database.write() as session:
        session.add(Rater(code="r1", name="\ud83d"))


@pytest.fixture
def empty_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database without tables."""
    if engine == SQLITE:
        yield sqlite_url(tmp_path / "empty.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


def _migrate(url: str) -> None:
    Database(url).migrate()


@pytest.mark.slow
@on_both
def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    """Each waits for its turn, and none fails."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_migrate, args=(empty_url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]


@on_both
def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    """The message says to use that version or a newer one."""
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="another version"):
        database.migrate()


def test_commits_reach_the_disk(database: Database) -> None:
    """WAL, and a sync on every commit: acknowledged ratings survive a power cut."""
    with database.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 2
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1


@on_both
def test_an_error_undoes_all_of_a_write(database: Database) -> None:
    """Half a batch is never kept."""

    def fail() -> None:
        with database.write() as session:
            session.add(Rater(code="r1"))
            session.flush()
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        fail()
    with database.read() as session:
        assert session.scalars(select(Rater)).all() == []


@on_both
def test_reading_in_autocommit_sees_commits_and_writes_nothing(database: Database) -> None:
    """Changes made to its session by mistake are not written."""
    with database.write() as session:
        session.add(Rater(code="r1"))
    with database.read_autocommit() as session:
        session.scalars(select(Rater)).one().name = "Ann"
        session.add(Rater(code="r2"))
        assert session.scalars(select(Rater.name)).all() == [""]
    with database.read_autocommit() as session:
        assert session.scalars(select(Rater.name)).all() == [""]


@on_both
def test_writers_take_turns(database: Database) -> None:
    """With twenty threads at once, none is refused and nothing is lost."""

    def add(number: int) -> None:
        with database.write() as session:
            session.add(Rater(code=f"r{number}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert len(session.scalars(select(Rater)).all()) == 20


def test_a_full_disk_is_a_storage_error(database: Database) -> None:
    """The message says what to do, and the database is unchanged."""
    with database.write() as session:
        session.add(Rater(code="r1"))
    with database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    database.close()

    def fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(database.engine, "connect", fill)
    with (
        pytest.raises(StorageError, match=r"room for temporary files \(TMPDIR\).*full"),
        database.write() as session,
    ):
        session.add_all([Rater(code=f"x{number}", name="y" * 80) for number in range(500)])
    with database.read() as session:
        assert session.scalars(select(Rater.code)).all() == ["r1"]


@on_both
def test_text_that_does_not_fit_the_database_is_refused(database: Database, engine: str) -> None:
    """It is an error of the request, not of the database; SQLite accepts any text."""
    refused = pytest.raises(UsageError, match="NUL") if engine == POSTGRESQL else nullcontext()
    with refused, database.write() as session:
        session.add(Rater(code="nul\0"))


@pytest.mark.slow
def test_a_server_that_was_away_is_found_again(postgres: Postgres, postgres_tables: str) -> None:
    """While the server is down, the error does not show the password; afterwards everything works again."""
    database = Database(postgres.url(postgres_tables))
    with database.read() as session:
        assert session.scalars(select(Rater)).all() == []
    postgres.control("stop", "--mode", "fast")
    try:
        with pytest.raises(StorageError, match="reachable"), database.read() as session:
            session.scalars(select(Rater)).all()
    finally:
        postgres.start()
    with database.write() as session:
        session.add(Rater(code="r1"))
        session.flush()
        session.rollback()
    database.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_storage_error(tmp_path: Path) -> None:
    """It is reported before the first rating."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="room to write"):
        Database(sqlite_url(folder / "ratings.db")).migrate()


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    """The message names it."""
    path = tmp_path / "ratings.db"
    path.write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(StorageError, match=r"ratings\.db"):
        Database(sqlite_url(path)).migrate()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:", ""])
def test_refuses_other_databases(url: str) -> None:
    """Only SQLite files and PostgreSQL are accepted."""
    with pytest.raises(UsageError, match="postgresql"):
        Database(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_knows_postgresql_by_its_names(scheme: str) -> None:
    """All schemes that hosting services use are accepted, and the password is never shown."""
    try:
        database = Database(f"{scheme}://ann:pa55@localhost/ratings")
    except UsageError:
        pytest.fail("it is PostgreSQL")
    assert not database.is_sqlite
    assert str(database) == "postgresql://ann:***@localhost/ratings"

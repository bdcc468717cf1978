"""Fixtures: a small study, its app, visitors of it, and pages of a real browser."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, Page, expect
from werkzeug.security import generate_password_hash
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from clients import routes_compiled_once  # noqa: F401 - a fixture
from nimakit.web.accounts import raters
from nimakit.web.app import create_app, services_of
from nimakit.web.collections.setup import open_collections
from nimakit.web.db.database import Database, sqlite_url
from nimakit.web.settings import Settings, read_settings
from postgres import Postgres, running
from samples import write_photo
from web.opened import Opened
from web.study import SQLITE, Study, Visitor

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LEVELS = (20, 60, 100, 140, 180, 220)

MakeStudy = Callable[..., Study]
Serve = Callable[[Study], str]
expect.set_options(timeout=20_000)  # a busy machine is slow, and not wrong


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Passwords are hashed in microseconds: the real hash is made to take long."""
    with pytest.MonkeyPatch.context() as patched:
        cheap = partial(generate_password_hash, method="pbkdf2:sha256:1")
        patched.setattr(raters, "generate_password_hash", cheap)
        yield


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small photographs, one of them in a sub-folder, with spaces in their names; to be copied."""
    folder = tmp_path_factory.mktemp("photographs") / "photos"
    (folder / "more").mkdir(parents=True)
    for number, level in enumerate(LEVELS):
        name = f"more/photo {number}.png" if number == 5 else f"photo {number}.jpg"
        write_photo(folder / name, level, (60, 40))
    return folder


@pytest.fixture
def photos(photographs: Path, tmp_path: Path) -> Path:
    """A test's own copy of the photographs."""
    return shutil.copytree(photographs, tmp_path / "photos")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; skips where none is installed."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_tables(postgres: Postgres) -> str:
    """The name of a PostgreSQL database that has the tables, to be copied."""
    name = postgres.create()
    database = Database(postgres.url(name))
    database.migrate()
    database.close()
    return name


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database that has the tables, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "ratings.db"
    database = Database(sqlite_url(path))
    database.migrate()
    database.close()
    return path


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Compiled templates, shared by all apps."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The database of a test: SQLite, and also PostgreSQL if the test is marked `on_both`."""
    return getattr(request, "param", SQLITE)


@pytest.fixture
def database_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new database with tables."""
    if engine == SQLITE:
        (tmp_path / "data").mkdir()
        path = tmp_path / "data" / "ratings.db"
        shutil.copy(request.getfixturevalue("sqlite_tables"), path)
        yield sqlite_url(path)
        return
    server = request.getfixturevalue("postgres")
    name = server.create(request.getfixturevalue("postgres_tables"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def settings(tmp_path: Path, photos: Path, database_url: str) -> Settings:
    """Settings of an app that only this machine can reach."""
    return read_settings(folders=(photos,), data_dir=tmp_path / "data", database=database_url, environment={})


@pytest.fixture(scope="session")
def opened(photographs: Path, sqlite_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Databases whose collection has been created and scanned, to be copied."""
    return Opened(photographs, sqlite_tables, tmp_path_factory.mktemp("opened"))


@pytest.fixture
def make_study(settings: Settings, templates: FileSystemBytecodeCache, opened: Opened) -> Iterator[MakeStudy]:
    """A function that creates the app from the photographs, with settings for the collection."""
    made: list[Study] = []

    def make(settings: Settings = settings, **values: object) -> Study:
        known = opened.copy(settings, values)
        if not known:
            open_collections(settings, values)
        app = create_app(settings, background=False)
        app.testing = True
        app.jinja_env.bytecode_cache = templates
        if not known:
            services_of(app).background.once()
        made.append(Study(app))
        return made[-1]

    yield make
    for study in made:
        study.database.close()


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """An app with the photographs, to be scored from 1 to 10."""
    return make_study()


@pytest.fixture
def visitor(study: Study) -> Visitor:
    """The local rater."""
    return study.visitor()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that serves a study on loopback and returns its address."""
    servers = []

    def start(study: Study) -> str:
        server = make_server("127.0.0.1", 0, _read_whole(study.app), threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _read_whole(app: "WSGIApplication") -> "WSGIApplication":
    """The app, with each answer read before it is sent.

    Where a browser goes away in the middle of one, this server leaves the file that it comes from open.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        with closing(ClosingIterator(app(environ, start_response))) as parts:
            return [b"".join(parts)]

    return answer


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A desktop page; violations of the content security policy and script errors fail the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 760})
    yield from _watched(context.new_page())
    context.close()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A phone page with a touch screen."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    yield from _watched(context.new_page())
    context.close()


def _watched(page: Page) -> Iterator[Page]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Content Security" in line.text else None)
    yield page
    assert errors == []

"""A cull of small bursts: the first frame of each is blurred, the second clipped, the third clean."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from made_frames import blurred, picture
from nimakit.models.encoders.encoder import Encoder
from nimakit.web.app import create_app, services_of
from nimakit.web.collections.setup import open_collections
from nimakit.web.cull import grouping
from nimakit.web.db.database import sqlite_url
from nimakit.web.settings import Settings, read_settings
from web.conftest import MakeStudy
from web.study import SQLITE, Study

TINTS = ((1.0, 0.1, 0.1), (0.1, 1.0, 0.1), (0.5, 0.1, 1.0))
"""The small test encoder sees only colours: a burst has one."""


def burst(folder: Path, seed: int, tint: tuple[float, float, float]) -> None:
    """Write three frames of the same picture."""
    clean = picture(seed, (96, 72)).point(
        [min(255, int(level * part)) for part in tint for level in range(256)]
    )
    clipped = clean.point(lambda level: 255 if level > 60 else level)
    for number, frame in enumerate((blurred(clean), clipped, clean)):
        frame.save(folder / f"burst {seed} {number}.jpg", quality=95)


@pytest.fixture(scope="session")
def bursts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bursts of three frames, and a single picture; to be copied."""
    folder = tmp_path_factory.mktemp("bursts") / "photos"
    folder.mkdir()
    for seed, tint in enumerate(TINTS):
        burst(folder, seed, tint)
    Image.new("RGB", (96, 72), (128, 128, 0)).save(folder / "single.png")
    return folder


@pytest.fixture
def photos(bursts: Path, tmp_path: Path) -> Path:
    """A test's own copy of the bursts."""
    return shutil.copytree(bursts, tmp_path / "photos")


@pytest.fixture(scope="session")
def grouped(
    bursts: Path, sqlite_tables: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A database with the cull, scored and grouped; to be copied."""
    folder = tmp_path_factory.mktemp("grouped")
    path = Path(shutil.copy(sqlite_tables, folder / "ratings.db"))
    settings = read_settings(folders=(bursts,), data_dir=folder, database=sqlite_url(path), environment={})
    open_collections(settings, {"experiment": "cull", "model": str(tiny_file)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "load_encoder", lambda *_, **__: Encoder(tiny_file))
        services = services_of(create_app(settings, background=False))
        services.background.once()
    services.database.close()
    return path


@pytest.fixture
def small(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model, whose features also say what is alike."""
    monkeypatch.setattr(grouping, "load_encoder", lambda *_, **__: Encoder(tiny_file))
    return tiny_file


@pytest.fixture
def cull(
    settings: Settings, make_study: MakeStudy, engine: str, small: Path, request: pytest.FixtureRequest
) -> Study:
    """The cull, scored and grouped; the model is loaded."""
    if engine != SQLITE:
        return make_study(experiment="cull", model=str(small))
    database = settings.data_dir / "ratings.db"
    shutil.copyfile(request.getfixturevalue("grouped"), database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE collection SET folder = ?", (str(settings.folders[0]),))
    return make_study()

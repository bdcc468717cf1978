"""Fixtures: studies with pictures of random colours."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nimakit.web.app import create_app
from nimakit.web.collections.setup import open_collections
from nimakit.web.db.database import sqlite_url
from nimakit.web.settings import Settings
from web.colours import random_colours
from web.conftest import MakeStudy
from web.model.rated import PICTURES, rate
from web.study import SQLITE, Study


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data folders of an app with predicted scores, to be copied: without ratings, and with a model."""

    settings: Settings
    fresh: Path
    learned: Path


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path) -> Prepared:
    """Pictures that all tests share, and the data folders."""
    folder = tmp_path_factory.mktemp("model")
    settings = random_colours(folder, PICTURES)
    open_collections(settings, {"model": str(tiny_file)})
    study = Study(create_app(settings, background=False))
    study.services.background.once()
    study.database.close()
    shutil.copytree(settings.data_dir, folder / "fresh")
    rate(study, range(2))
    study.services.background.once()
    study.database.close()
    return Prepared(settings, folder / "fresh", settings.data_dir)


@pytest.fixture
def settings(tmp_path: Path, database_url: str, prepared: Prepared) -> Settings:
    """A new app over the pictures."""
    return replace(prepared.settings, data_dir=tmp_path / "data", database=database_url)


@pytest.fixture
def study(
    make_study: MakeStudy, settings: Settings, prepared: Prepared, tiny_file: Path, engine: str
) -> Study:
    """A study with predicted scores, and no ratings."""
    return _study(make_study, settings, prepared.fresh, tiny_file, engine)


@pytest.fixture
def learned(
    make_study: MakeStudy, settings: Settings, prepared: Prepared, tiny_file: Path, engine: str
) -> Study:
    """The study with a model learned from 40 ratings."""
    study = _study(make_study, settings, prepared.learned, tiny_file, engine)
    if engine != SQLITE:
        rate(study, range(2))
        study.services.background.once()
    return study


def _study(make_study: MakeStudy, settings: Settings, data: Path, model: Path, engine: str) -> Study:
    if engine != SQLITE:
        return make_study(settings, model=str(model))
    shutil.copytree(data, settings.data_dir, dirs_exist_ok=True)
    return make_study(replace(settings, database=sqlite_url(settings.data_dir / "ratings.db")))

"""A launcher with a fake docker, and a folder to start it in."""

import shutil
from pathlib import Path

import pytest

from launchers import FAKE_DOCKER, ROOT, SAMPLE, Launcher


@pytest.fixture
def fake_bin(tmp_path: Path) -> Path:
    """A folder with the fake docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(FAKE_DOCKER)
    (folder / "docker").chmod(0o755)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the launcher is started: a folder with a folder of photos."""
    folder = tmp_path / "work"
    (folder / "photos").mkdir(parents=True)
    shutil.copyfile(SAMPLE, folder / "photos" / "coffee.jpg")
    return folder


@pytest.fixture
def predict(fake_bin: Path, folder: Path) -> Launcher:
    """The launcher of this checkout."""
    return Launcher(repository=ROOT, bin=fake_bin, folder=folder)


@pytest.fixture
def copied(fake_bin: Path, folder: Path, tmp_path: Path) -> Launcher:
    """The launcher of a copy of the checkout, to change; its .venv holds fakes that print their arguments."""
    copy = tmp_path / "copy"
    for name in ("scripts", "entrypoints", "requirements", "docs", "src"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("predict", "pyproject.toml", "Dockerfile.cpu", "Dockerfile.gpu"):
        shutil.copy(ROOT / name, copy / name)
    programs = copy / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "nimakit"):
        (programs / name).write_text(f"#!/usr/bin/env bash\nprintf '{name}<%s>\\n' \"$*\"\n")
        (programs / name).chmod(0o755)
    return Launcher(repository=copy, bin=fake_bin, folder=folder)

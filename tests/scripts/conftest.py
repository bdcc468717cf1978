"""A launcher with a fake docker, and a folder to start it in."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launchers import FAKE_NIMAKIT, ROOT, SAMPLE, Launcher, settle, write_fake_docker, write_json


@pytest.fixture
def fake_bin(tmp_path: Path) -> Path:
    """A folder with the fake docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_fake_docker(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the launcher is started: a folder with a folder of photos."""
    folder = tmp_path / "work"
    (folder / "photos").mkdir(parents=True)
    shutil.copyfile(SAMPLE, folder / "photos" / "coffee.jpg")
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What launchers need of the checkout; of more files only the checksum would take longer."""
    copy = tmp_path_factory.mktemp("checkout") / "copy"
    for name in ("scripts", "entrypoints", "requirements"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("docs/cli.md", "src/nimakit/cli.py"):
        (copy / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, copy / name)
    for name in ("nimakit", "predict", "rate", "serve", "train-local", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    for kind in ("light", "cpu", "gpu", "serve"):
        shutil.copy(ROOT / f"Dockerfile.{kind}", copy)
    return copy


@pytest.fixture
def predict(checkout: Path, fake_bin: Path, folder: Path) -> Launcher:
    """The launcher of a copy of the checkout that all tests share."""
    return Launcher(repository=checkout, bin=fake_bin, folder=folder)


@pytest.fixture
def copied(checkout: Path, fake_bin: Path, folder: Path, tmp_path: Path) -> Launcher:
    """The launcher of a copy of the checkout, to change; in its .venv, fakes print their arguments."""
    copy = shutil.copytree(checkout, tmp_path / "copy")
    programs = copy / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "nimakit"):
        (programs / name).write_text(f"#!/usr/bin/env bash\nprintf '{name}<%s>\\n' \"$*\"\n")
        (programs / name).chmod(0o755)
    return Launcher(repository=copy, bin=fake_bin, folder=folder)


@pytest.fixture
def job(folder: Path) -> Path:
    """A prepared job for the folder of photos, with its inputs."""
    write_json(folder / "c.json", {"base_model_name": "MobileNet", "existing_weights": "random"})
    write_json(folder / "labels.json", [])
    job = folder / "train_jobs" / "2026_01_02_03_04_05"
    (job / "logs").mkdir(parents=True)
    write_json(job / "run.json", {"status": "prepared", "image_dir": str(folder / "photos")})
    write_json(job / "config.json", {"base_model_name": "MobileNet", "existing_weights": "random"})
    return job


@pytest.fixture
def train(predict: Launcher, job: Path) -> Launcher:
    """The training launcher; the fake docker prepares the job, and trains it."""
    (predict.bin / "prepared").write_text(f"{job}\n")
    (predict.bin / "exit-code").write_text("0\n")
    return replace(predict, program="train-local")


@pytest.fixture
def serve(predict: Launcher) -> Launcher:
    """The serving launcher."""
    return replace(predict, program="serve")


@pytest.fixture
def native(copied: Launcher, job: Path) -> Launcher:
    """The training launcher of the copy; a fake nimakit prepares the job, and trains it."""
    settle(copied)
    programs = copied.repository / ".venv" / "bin"
    (programs / "python").write_text(f'#!/usr/bin/env bash\nexec "{sys.executable}" "$@"\n')
    (programs / "nimakit").write_text(FAKE_NIMAKIT)
    sleep = copied.bin / "sleep"  # between two looks at the log: a second takes too long
    sleep.write_text(f"#!/usr/bin/env bash\nexec {shutil.which('sleep')} 0.05\n")
    sleep.chmod(0o755)
    (programs / "prepared").write_text(f"{job}\n")
    return replace(copied, program="train-local")

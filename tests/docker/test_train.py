"""./train-local in real containers: a job of seconds, stopped and resumed."""

import csv
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from docker.conftest import Launcher, docker
from samples import random_pixels

pytestmark = pytest.mark.docker

LONG = {"epochs_train_dense": 1, "epochs_train_all": 200}
RESULTS = {
    "config.json",
    "samples.json",
    "run.json",
    "history.csv",
    "model.onnx",
    "metrics.json",
    "report.html",
}


@pytest.fixture
def train(predict: Launcher) -> Launcher:
    """The training launcher, with the image built."""
    return replace(predict, program="train-local")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """Twelve rated photos, in a folder whose name needs quoting; its containers go away at the end."""
    folder = tmp_path / 'Anna\'s "best", $(touch pwned): work'
    (folder / "photos").mkdir(parents=True)
    labels = []
    for number in range(12):
        Image.fromarray(random_pixels(80, 96, number)).save(folder / "photos" / f"{number}.jpg")
        labels.append({"image_id": str(number), "label": [1, 1, 2, 4, 8, 8, 4 + number, 2, 1, number]})
    (folder / "labels.json").write_text(json.dumps(labels))
    yield folder
    for job in (folder / "train_jobs").glob("*"):
        subprocess.run(["docker", "rm", "--force", container_of(job)], capture_output=True, check=False)
    assert list(folder.rglob("pwned")) == []


def container_of(job: Path) -> str:
    """The name of the container that trains a job."""
    return f"nimakit-{job.name}"


def new_job(work: Path, epochs: Mapping[str, int]) -> list[str]:
    """Options of a job that takes a moment an epoch; writes its config."""
    config = {
        "base_model_name": "MobileNet",
        "existing_weights": "random",
        "input_size": [64, 64],
        "batch_size": 4,
        "validation_split": 0.25,
        **epochs,
    }
    (work / "config.json").write_text(json.dumps(config))
    return ["--config-file", "config.json", "--samples-file", "labels.json", "--image-dir", "photos"]


def status(job: Path) -> dict[str, Any]:
    """What run.json says."""
    values: dict[str, Any] = json.loads((job / "run.json").read_text())
    return values


def epochs_done(job: Path) -> int:
    """How many rows history.csv has by now."""
    if not (job / "history.csv").exists():
        return 0
    with (job / "history.csv").open(newline="") as stream:
        return len(list(csv.DictReader(stream)))


def wait_for_epochs(job: Path, count: int) -> None:
    """Wait until so many epochs are done."""
    give_up = time.monotonic() + 240
    while epochs_done(job) < count:
        logs = subprocess.run(
            ["docker", "logs", container_of(job)], capture_output=True, text=True, check=False
        )
        assert time.monotonic() < give_up, logs.stderr
        assert docker("ps", "--quiet", "--filter", f"name={container_of(job)}") != "", logs.stderr
        time.sleep(0.3)


def start(train: Launcher, work: Path) -> Path:
    """Start a long, detached job; returns its folder once two epochs are done."""
    done = train(*new_job(work, LONG), "--detach", folder=work)
    assert done.returncode == 0, done.stderr
    job = Path(done.stdout.removesuffix("\n"))
    assert f"docker container stop {container_of(job)}" in done.stderr
    wait_for_epochs(job, 2)
    return job


def shorten(job: Path, epochs: int) -> None:
    """Let the rest of a long job be short."""
    config = json.loads((job / "config.json").read_text())
    (job / "config.json").write_text(json.dumps({**config, "epochs_train_all": epochs}))


def test_a_refused_job_leaves_nothing(train: Launcher, work: Path) -> None:
    """All that is wrong is listed at once; neither a container nor a folder is left."""
    options = new_job(work, {"epochs_train_dense": -1})
    (work / "photos" / "3.jpg").unlink()
    done = train(*options, folder=work)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"epochs_train_dense[\s\S]*1 of 12 images", done.stderr)
    assert not (work / "train_jobs").exists()


def test_a_stopped_job_is_usable_and_goes_on(train: Launcher, work: Path) -> None:
    """`docker container stop` ends a job with its best epoch exported; --resume finishes it.

    At the end all results are there, owned by the caller, and no container is left.
    """
    job = start(train, work)
    again = train("--resume", job, folder=work)
    assert (again.returncode, "is in training" in again.stderr) == (1, True)
    docker("container", "stop", container_of(job))
    assert docker("container", "inspect", "--format", "{{.State.ExitCode}}", container_of(job)) == "130"
    assert status(job)["status"] == "stopped"
    scored = replace(train, program="predict")(
        "--image-source", "photos", "--model", job / "model.onnx", folder=work
    )
    assert (scored.returncode, len(json.loads(scored.stdout))) == (0, 12), scored.stderr
    before = epochs_done(job)
    shutil.copy(job / "history.csv", work / "before.csv")
    shorten(job, before)
    done = train("--resume", job.relative_to(work), folder=work)
    assert (done.returncode, done.stdout) == (0, f"{job}\n"), done.stderr
    assert status(job)["status"] == "complete"
    assert epochs_done(job) == before + 1
    assert (job / "history.csv").read_text().startswith((work / "before.csv").read_text())
    assert {path.name for path in job.iterdir()} >= RESULTS
    assert not (job / "state").exists()
    assert {path.stat().st_uid for path in [job, *job.rglob("*")]} == {os.getuid()}
    assert docker("ps", "--all", "--quiet", "--filter", f"name={container_of(job)}") == ""

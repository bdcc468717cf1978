"""A Ray cluster in real containers: one head, two workers, and an S3 store."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from docker.conftest import ROOT, docker

pytestmark = pytest.mark.docker

PHOTOS = 200
ROWS = 5000
SECONDS = 300  # to wait for anything
CLOSE = 1e-6  # relative: the last bits of float32 depend on the installation and on what is scored at once
COMPOSE = (
    "docker-compose",
    "--project-name",
    "nimakit-test-ray",
    "--file",
    f"{ROOT}/deploy/ray/compose.yaml",
)
EVERYWHERE = "0.0.0.0"  # noqa: S104 - within the network of the cluster
NETWORK = "nimakit-test-ray_default"
STORE = "nimakit-test-s3"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": f"http://{STORE}:5000",
}
PREDICT = (
    *("nimakit", "predict", "--engine", "ray", "--ray-address", "auto", "--id-column", "id", "--resume"),
    *("--image-source", "s3://photos/listing.csv", "--predictions-file", "s3://photos/scores/"),
)


def wait(done: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    give_up = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


def compose(*arguments: str) -> str:
    """What docker-compose prints."""
    done = subprocess.run(
        [*COMPOSE, *arguments], env={**os.environ, **CREDENTIALS}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small photos of noise around different colours, and a text named .jpg."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(5)
    for number in range(PHOTOS):
        pixels = random.integers(0, 256, 3) * 0.7 + random.integers(0, 70, (64, 96, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    (folder / "text.jpg").write_text("no image", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def cluster(ray_image: str) -> Iterator[str]:
    """The name of the head's container, once both workers have joined."""
    compose("up", "--detach", "--scale", "worker=2")
    try:
        head = compose("ps", "--quiet", "head")

        def joined() -> bool:
            status = subprocess.run(
                ["docker", "exec", head, "ray", "status"], capture_output=True, text=True, check=False
            )
            return "/2.0 CPU" in status.stdout

        wait(joined, "both workers must join")
        yield head
    finally:
        compose("down", "--volumes", "--timeout", "1")


@pytest.fixture(scope="module")
def store(ray_image: str, cluster: str) -> Iterator[Any]:
    """An S3 store in the cluster's network, with the bucket photos; also reached from here."""
    moto, s3fs = pytest.importorskip("moto"), pytest.importorskip("s3fs")
    packages = Path(moto.__file__).parents[1]
    docker(
        *("run", "--detach", "--rm", "--name", STORE, "--network", NETWORK, "--publish", "127.0.0.1::5000"),
        *(
            "--mount",
            f"type=bind,source={packages},target=/packages,readonly",
            "--env",
            "PYTHONPATH=/packages",
        ),
        *("--entrypoint", "python3", ray_image, "-m", "moto.server", "-H", EVERYWHERE, "-p", "5000"),
    )
    try:
        address = docker("port", STORE, "5000/tcp")
        found = s3fs.S3FileSystem(
            key="test",
            secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=f"http://{address}",
            use_listings_cache=False,
        )
        wait(lambda: _answers(found), "the store must answer")
        yield found
    finally:
        docker("kill", STORE)


def _answers(store: Any) -> bool:
    try:
        store.makedirs("photos", exist_ok=True)
    except OSError:
        return False
    return True


class Driver:
    """A run on the cluster, whose process can be killed."""

    def __init__(self, head: str, log: Path) -> None:
        self._head = head
        self._log = log
        script = 'echo $$ >/tmp/driver; exec "$@"'
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                ["docker", "exec", head, "sh", "-c", script, "sh", *PREDICT], stdout=stream, stderr=stream
            )

    @property
    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(encoding="utf-8")

    def reach(self, rows: int) -> None:
        """Wait until its progress is that of so many rows."""

        def done() -> bool:
            assert self._process.poll() is None, self.log
            return any(int(count) >= rows for count in re.findall(r"scoring: (\d+) of", self.log))

        wait(done, f"{rows} rows must be scored; {self.log}")

    def kill(self) -> None:
        """End it as the system does when memory runs out."""
        docker("exec", self._head, "sh", "-c", "kill -9 $(cat /tmp/driver)")
        self.wait()

    def wait(self) -> int:
        """Its exit code."""
        return self._process.wait(SECONDS)


def listing() -> Iterator[tuple[str, str]]:
    """Id and name of the photo of every row; some are planted that have none."""
    for row in range(ROWS):
        name = "none.jpg" if row % 500 == 7 else "text.jpg" if row % 500 == 8 else f"{row % PHOTOS}.jpg"
        yield f"listing-{row}", name


def folder_scores(photos: Path, model: Path) -> dict[str, float]:
    """Photo -> mean score in a run of the folder on this machine."""
    command = [
        sys.executable,
        "-m",
        "nimakit",
        "predict",
        "--image-source",
        str(photos),
        "--model",
        str(model),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    records = json.loads(done.stdout)
    return {
        record["image_id"]: record["mean_score_prediction"] for record in records if "error" not in record
    }


def parts(store: Any, folder: str = "scores") -> list[dict[str, Any]]:
    """The rows that are written."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = []
    for name in store.glob(f"photos/{folder}/*.parquet"):
        rows += parquet.read_table(io.BytesIO(store.cat_file(name))).to_pylist()
    return rows


def test_survives_the_loss_of_a_worker_and_of_the_driver(
    cluster: str, store: Any, photos: Path, public_model: Path, tmp_path: Path
) -> None:
    """Each row is there once, with the score of a run on one machine, or the error that was planted."""
    store.put(f"{photos}/", "photos/", recursive=True)
    text = io.StringIO()
    csv.writer(text).writerows([("id", "image"), *listing()])
    store.pipe_file("photos/listing.csv", text.getvalue().encode())

    first = Driver(cluster, tmp_path / "first.log")
    first.reach(ROWS // 3)
    docker("kill", compose("ps", "--quiet", "worker").split()[0])
    first.reach(ROWS * 2 // 3)
    first.kill()
    before = len(parts(store))
    assert 0 < before < ROWS

    again = Driver(cluster, tmp_path / "again.log")
    assert again.wait() == 2, again.log  # some rows have an error
    assert f"; {before} were there already" in again.log
    rows = parts(store)
    assert Counter(row["id"] for row in rows) == Counter(dict(listing()).keys())
    expected = folder_scores(photos, public_model)
    names = dict(listing())
    for row in rows:
        name = names[row["id"]]
        if name in ("none.jpg", "text.jpg"):
            assert row["mean"] is None
            assert row["error"]
        else:
            assert row["error"] is None
            assert row["mean"] == pytest.approx(expected[name.removesuffix(".jpg")], rel=CLOSE)


def test_features_are_those_of_one_process(cluster: str, store: Any, photos: Path) -> None:
    """On the worker that is left, or on both: a row for each id, to the last bits of float32."""
    encoder = "efficientnet-lite0@64x64"
    rows = [(f"f{row}", f"{row}.jpg") for row in range(PHOTOS)]
    for _, name in rows:
        store.put_file(str(photos / name), f"photos/{name}")
    text = io.StringIO()
    csv.writer(text).writerows([("id", "image"), *rows])
    store.pipe_file("photos/features.csv", text.getvalue().encode())
    features = ("nimakit", "features", "--image-source", "s3://photos/features.csv", "--id-column", "id")
    for folder, engine in (("here", ()), ("cluster", ("--engine", "ray", "--ray-address", "auto"))):
        output = ("--encoder", encoder, "--output", f"s3://photos/{folder}/")
        docker("exec", cluster, *features, *output, *engine)
    here, there = ({row["id"]: row for row in parts(store, folder)} for folder in ("here", "cluster"))
    assert here.keys() == there.keys() == dict(rows).keys()
    for key, row in here.items():
        assert row["error"] is there[key]["error"] is None
        np.testing.assert_allclose(there[key][encoder], row[encoder], rtol=1e-4, atol=1e-5)

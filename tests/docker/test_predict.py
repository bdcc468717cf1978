"""./predict in real containers."""

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from docker.conftest import ROOT, SAMPLES, Launcher, docker

pytestmark = pytest.mark.docker

CONFIG = "models/MobileNet/config_aesthetic_cpu.json"
AVA = Path("../shared/data/ava/images")  # relative to the repository
ANOTHER_USER = 12345


@pytest.fixture
def native(predict: Launcher, public_model: Path) -> Launcher:
    """The launcher for runs without Docker, with the public model at hand."""
    predict.cache.mkdir()
    shutil.copy(public_model, predict.cache)
    return predict


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two photos, under a name that needs quoting everywhere."""
    folder = tmp_path / 'Anna\'s "best", 100 % $(touch pwned): photos'
    folder.mkdir()
    for name in ("coffee.jpg", "night launch pad.jpg"):
        shutil.copy(SAMPLES / name, folder)
    return folder


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder everybody may reach, which pytest's own are not; it belongs to another user than root."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.getuid() == 0:
            os.chown(folder, ANOTHER_USER, ANOTHER_USER)
        yield folder


def write_labels(path: Path, names: list[str]) -> Path:
    """A label file for these photos, each rated a little higher than the previous."""
    entries = [
        {"image_id": name, "label": [1, 1, 2, 4, 8, 8, 4 + number, 2, 1, number]}
        for number, name in enumerate(names)
    ]
    path.write_text(json.dumps(entries))
    return path


def scores(stdout: str) -> dict[str, tuple[float, float]]:
    """image_id -> mean and standard deviation."""
    return {
        record["image_id"]: (record["mean_score_prediction"], record["sd_score_prediction"])
        for record in json.loads(stdout)
    }


def test_a_container_and_the_host_give_the_same(native: Launcher, tmp_path: Path) -> None:
    """Stdout, the predictions, the metrics and the report are the same byte for byte in both runtimes."""
    labels = write_labels(tmp_path / "labels.json", ["coffee", "room", "otter", "portrait"])
    outputs: dict[str, list[bytes]] = {}
    for runtime in ("docker", "native"):
        folder = tmp_path / runtime
        folder.mkdir()
        every = native("--image-source", "data/samples", runtime=runtime)
        labelled = native(
            *("--image-source", "data/samples", "--samples-file", labels, "--report", folder / "r.html"),
            *("--predictions-file", folder / "p.csv", "--metrics-file", folder / "m.json"),
            runtime=runtime,
        )
        assert (every.returncode, labelled.returncode) == (0, 0), every.stderr + labelled.stderr
        files = sorted(folder.iterdir())
        assert [path.name for path in files] == ["m.json", "p.csv", "r.html"]
        outputs[runtime] = [
            every.stdout.encode(),
            labelled.stdout.encode(),
            *(path.read_bytes() for path in files),
        ]
    assert len(json.loads(outputs["docker"][0])) == 13
    assert outputs["docker"] == outputs["native"]


def test_files_belong_to_the_caller(predict: Launcher, public_folder: Path) -> None:
    """Any user can run it and owns the files written, with the modes of their umask."""
    repository = public_folder / "repository"
    keep = {"scripts", "entrypoints", "requirements", "docs", "src", "predict", "pyproject.toml"}
    for name in keep | {"Dockerfile.light", ".dockerignore", "README.md", "LICENSE", "NOTICE"}:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, repository / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        else:
            repository.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, repository)
    shutil.copy(SAMPLES / "coffee.jpg", public_folder)
    write_labels(public_folder / "labels.json", ["coffee"])
    outputs = [public_folder / name for name in ("p.json", "m.json", "r.html")]
    command = predict.command(
        [
            *("--image-source", "coffee.jpg", "--samples-file", "labels.json"),
            *("--predictions-file", "p.json", "--metrics-file", "m.json", "--report", "r.html"),
        ],
        repository=repository,
    )
    environment = {**predict.environment(), "HOME": str(public_folder)}
    del environment["NIMAKIT_CACHE"]
    user = os.getuid()
    if user == 0:
        user = ANOTHER_USER
        # The group of the socket is what lets an ordinary user speak to the engine.
        socket = Path("/var/run/docker.sock").stat().st_gid
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={socket}", *command]
    done = subprocess.run(
        command, cwd=public_folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert [path.stat().st_uid for path in outputs] == [user] * 3
    assert all(path.stat().st_mode & stat.S_IRUSR for path in outputs)
    assert (public_folder / ".cache" / "nimakit").stat().st_uid == user


def test_a_path_with_quotes_and_a_broken_file(predict: Launcher, photos: Path) -> None:
    """Under an awkward path, a broken file has its record with the reason, the others are scored, exit 2."""
    (photos / "broken.jpg").write_bytes(b"no photo at all")
    done = predict("--image-source", photos, f"--predictions-file={photos}/out.json")
    assert done.returncode == 2, done.stderr
    records: dict[str, Any] = {record["image_id"]: record for record in json.loads(done.stdout)}
    assert list(records) == ["broken", "coffee", "night launch pad"]
    assert [name for name, record in records.items() if "error" in record] == ["broken"]
    assert records["broken"]["error"] in done.stderr
    assert (photos / "out.json").read_text() == done.stdout
    assert list(photos.parent.rglob("pwned")) == []


@pytest.mark.parametrize(
    ("start", "path"),
    [
        ("below", "../photos/"),
        (".", "link/../photos"),
        ("link", "../photos"),
        (".", "linked photos"),
    ],
)
def test_a_relative_path_leads_where_it_leads_outside(
    predict: Launcher, tmp_path: Path, start: str, path: str
) -> None:
    """Relative paths, up, through folders and links and out again, lead to the same photo inside."""
    folder = tmp_path / "work"
    elsewhere = tmp_path / "elsewhere"
    for place in (folder / "photos", folder / "below", elsewhere / "photos", elsewhere / "deep"):
        place.mkdir(parents=True)
    shutil.copyfile(SAMPLES / "coffee.jpg", folder / "photos" / "near.jpg")
    shutil.copyfile(SAMPLES / "room.jpg", elsewhere / "photos" / "far.jpg")
    (folder / "link").symlink_to(elsewhere / "deep")
    (folder / "linked photos").symlink_to("photos")
    working = folder / start
    done = predict("--image-source", path, folder=working, env={"PWD": str(working)})
    assert done.returncode == 0, done.stderr
    assert list(scores(done.stdout)) == ["far" if "link" in (start, path.partition("/")[0]) else "near"]


def test_the_reference_scores_come_out(predict: Launcher) -> None:
    """The two reference photographs have the scores that were published for the public weights."""
    if not (ROOT / AVA).is_dir():
        pytest.skip(f"{AVA} is not there")
    done = predict("--image-source", AVA)
    assert done.returncode == 0, done.stderr
    found = scores(done.stdout)
    assert found["42039"] == pytest.approx((5.15448, 1.40392), abs=1e-3)
    assert found["42041"] == pytest.approx((5.45040, 1.43002), abs=1e-3)


def test_own_weights_are_converted_in_the_container(
    predict: Launcher, public_weights: Path, tmp_path: Path
) -> None:
    """Keras weights of the user's own score as they should, and are converted once."""
    import h5py

    weights = tmp_path / "my weights.hdf5"
    shutil.copy(public_weights, weights)
    with h5py.File(weights, "r+") as file:
        file.attrs["note"] = "another file than the public one"  # which would be found converted
    arguments = ["--image-source", "data/samples/coffee.jpg", "--weights-file", str(weights)]
    arguments += ["--base-model-name", "MobileNet", "--docker-image", "nima-cpu"]
    first, second = predict(*arguments), predict(*arguments)
    assert first.returncode == 0, first.stderr
    public = predict("--image-source", "data/samples/coffee.jpg")
    assert scores(first.stdout)["coffee"] == pytest.approx(scores(public.stdout)["coffee"], abs=1e-4)
    assert second.stdout == first.stdout


def test_a_config_and_a_label_file(predict: Launcher, photos: Path) -> None:
    """A training config chooses the model, the label file the photos; they are compared on stderr."""
    labels = write_labels(photos / "labels.json", ["night launch pad", "coffee"])
    done = predict("--config-file", CONFIG, "--samples-file", labels, "--image-source", photos)
    assert done.returncode == 0, done.stderr
    assert list(scores(done.stdout)) == ["night launch pad", "coffee"]
    assert "nimakit: 2 labelled images: EMD 0." in done.stderr


def test_nothing_is_fetched_or_kept(predict: Launcher) -> None:
    """The public model is in the image: without a network and without a cache, scoring works."""
    done = predict("--image-source", "data/samples/coffee.jpg", env={"NIMAKIT_CACHE": "/proc/no/cache"})
    assert done.returncode == 0, done.stderr
    assert list(scores(done.stdout)) == ["coffee"]


def test_usage_errors_come_through(predict: Launcher, tmp_path: Path) -> None:
    """What the command refuses is refused alike in a container, with exit 1 and nothing on stdout."""
    for arguments in ([], ["--image-source", "missing"], ["--image-source", ".", "--no-such-option"]):
        inside = predict(*arguments, folder=tmp_path)
        outside = predict(*arguments, folder=tmp_path, runtime="native")
        assert (inside.returncode, inside.stdout) == (outside.returncode, outside.stdout) == (1, "")
        assert inside.stderr.splitlines()[1:] == outside.stderr.splitlines()[1:] != []


def test_the_image_is_a_plain_program(image: str) -> None:
    """The image has no HEALTHCHECK, which suits no batch program, and its user is not root."""
    (found,) = json.loads(docker("image", "inspect", image))
    assert "Healthcheck" not in found["Config"]
    assert found["Config"]["User"] not in ("", "0", "root")
    assert found["Config"]["Entrypoint"] == ["/opt/nimakit/entrypoints/predict"]


def test_an_interrupt_stops_the_container(predict: Launcher, tmp_path: Path) -> None:
    """Ctrl-C ends launcher and container with 130, and leaves no complete or partial file."""
    photos, output = tmp_path / "photos", tmp_path / "output"
    photos.mkdir()
    output.mkdir()
    large = shutil.copy(SAMPLES / "dandelions_12mp.jpg", photos)
    for number in range(300):
        (photos / f"{number}.jpg").hardlink_to(large)
    command = predict.command(["--image-source", photos, "--predictions-file", output / "p.json"])
    with subprocess.Popen(
        command, env=predict.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            give_up = time.monotonic() + 60
            while not list(output.iterdir()):
                assert process.poll() is None
                assert time.monotonic() < give_up
                time.sleep(0.05)
            assert docker("ps", "--quiet", "--filter", f"volume={output}") != ""
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "nimakit: interrupted"
    assert list(output.iterdir()) == []
    assert docker("ps", "--all", "--quiet", "--filter", f"volume={output}") == ""

"""nimakit.scoring.distributed: runs on a Ray instance of this machine, which ends with them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samples import write_photo
from small_encoders import write_encoder

pytestmark = pytest.mark.slow

REQUIRED_VARIABLE = "NIMAKIT_REQUIRE_RAY"
"""Set by ./run-tests --ray, so that the tests are not skipped there."""
SECONDS = 300  # to wait for anything
CLOSE = 1e-6  # relative: the last bits of float32 depend on the installation and on what is scored at once


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where Ray keeps its files; its sockets need a short path."""
    if not os.environ.get(REQUIRED_VARIABLE):
        pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="nr-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def manifest(folder: Path, rows: int) -> Path:
    """Rows with an id each, three photos over and over, but for the last, which has none."""
    for level in range(3):
        write_photo(folder / f"{level}.png", 80 * level)
    names = [f"{row % 3}.png" for row in range(rows - 1)] + ["none.png"]
    path = folder / "list.csv"
    path.write_text("id,image\n" + "".join(f"r{row},{name}\n" for row, name in enumerate(names)))
    return path


def start(source: Path, model: Path, output: Path, *options: str, ray: Path) -> "subprocess.Popen[str]":
    """Start a run that scores."""
    return start_command(
        "predict", source, "--model", str(model), "--predictions-file", str(output), *options, ray=ray
    )


def start_command(name: str, source: Path, *options: str, ray: Path) -> "subprocess.Popen[str]":
    """Start a run of a command."""
    command = [sys.executable, "-m", "nimakit", name, "--image-source", str(source), "--id-column", "id"]
    return subprocess.Popen(
        [*command, *options],
        env={**os.environ, "RAY_TMPDIR": str(ray)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


DEADLY = """
import json, os, sys
from nimakit.models.loading import load_model
from nimakit.scoring import distributed
from nimakit.scoring.bulk import Cluster
from nimakit.scoring.items import to_record
from nimakit.sources import Entry

def deadly(entry, result):
    if entry.image_id == "r3" and not isinstance(result, Exception):
        os._exit(137)
    return to_record(entry, result)

model, photo = sys.argv[1:]
entries = [Entry(image_id=f"r{row}", place=photo) for row in range(70)]
settings = distributed.Settings(tta="none", measures=False, max_pixels=10**8, workers=1)
with distributed.connected(Cluster()):
    print(json.dumps([*distributed.score(entries, load_model(model), deadly, Cluster(), settings)]))
"""
"""A run in which a row ends the process that works on it, as when memory runs out."""


def records(output: Path) -> dict[str, Any]:
    """Id -> record."""
    lines = output.read_text(encoding="utf-8").splitlines()
    found = {record["image_id"]: record for record in map(json.loads, lines)}
    assert len(found) == len(lines)
    return found


def processes_of(folder: Path) -> list[str]:
    """Command lines of Ray's processes that keep their files in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if str(folder) in text:
            found.append(text)
    return found


def wait_for_none(folder: Path) -> None:
    """Wait until Ray's processes have ended."""
    give_up = time.monotonic() + SECONDS
    while left := processes_of(folder):
        assert time.monotonic() < give_up, left
        time.sleep(0.1)


def test_gives_the_records_of_a_run_in_one_process(ray_folder: Path, tiny_file: Path, tmp_path: Path) -> None:
    """Relative rows and missing photos among them; the instance ends with the run."""
    source = manifest(tmp_path, 9)
    for name, options in (("local", ()), ("ray", ("--engine", "ray"))):
        run = start(source, tiny_file, tmp_path / f"{name}.jsonl", *options, ray=ray_folder)
        _, stderr = run.communicate(timeout=SECONDS)
        assert run.returncode == 2, stderr  # one row has no photo
    local, distributed = records(tmp_path / "local.jsonl"), records(tmp_path / "ray.jsonl")
    assert "error" in local["r8"]
    assert distributed.keys() == local.keys()
    for key, record in local.items():
        mean = record.pop("mean_score_prediction", 0.0)
        assert distributed[key].pop("mean_score_prediction", 0.0) == pytest.approx(mean, rel=CLOSE)
        assert distributed[key].get("error") == record.get("error")
    wait_for_none(ray_folder)


def test_an_interrupted_run_ends_its_instance(ray_folder: Path, tiny_file: Path, tmp_path: Path) -> None:
    """What was scored is kept, and the next run goes on with it."""
    source = manifest(tmp_path, 50_000)
    output = tmp_path / "scores.jsonl"
    run = start(source, tiny_file, output, "--engine", "ray", ray=ray_folder)
    give_up = time.monotonic() + SECONDS
    while not (output.exists() and output.stat().st_size):
        assert run.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert processes_of(ray_folder)
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=SECONDS)
    assert run.returncode not in (0, 2), stderr
    assert "Traceback" not in stderr
    wait_for_none(ray_folder)
    assert 0 < len(records(output)) < 50_000


def test_features_are_those_of_one_process(ray_folder: Path, tmp_path: Path) -> None:
    """Of several encoders and views; an error is a row without."""
    parquet = pytest.importorskip("pyarrow.parquet")
    source = manifest(tmp_path, 9)
    encoder = write_encoder(tmp_path / "e.onnx")
    options = ("--encoder", str(encoder), "--encoder", f"{encoder}@24x32", "--mirrored")
    for name, engine in (("local", ()), ("ray", ("--engine", "ray"))):
        run = start_command(
            "features", source, *options, "--output", f"{tmp_path}/{name}/", *engine, ray=ray_folder
        )
        _, stderr = run.communicate(timeout=SECONDS)
        assert run.returncode == 2, stderr  # one row has no photo
    rows = [
        {row.pop("id"): row for row in parquet.read_table(tmp_path / name).to_pylist()}
        for name in ("local", "ray")
    ]
    assert rows[0].keys() == rows[1].keys() == {f"r{number}" for number in range(9)}
    for key, local in rows[0].items():
        assert local.pop("error") == rows[1][key].pop("error")
        for column, values in local.items():
            assert rows[1][key][column] == (values and pytest.approx(values, rel=CLOSE)), column
    assert rows[0]["r8"]["tiny encoder@16x16"] is None
    wait_for_none(ray_folder)


def test_a_row_that_ends_its_process_is_an_error(ray_folder: Path, tiny_file: Path, tmp_path: Path) -> None:
    """Not for ever: it is tried again, on its own at last, and all others are scored."""
    write_photo(tmp_path / "a.png", 80)
    done = subprocess.run(
        [sys.executable, "-c", DEADLY, str(tiny_file), str(tmp_path / "a.png")],
        env={**os.environ, "RAY_TMPDIR": str(ray_folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found = {record["image_id"]: record.get("error") for record in json.loads(done.stdout.splitlines()[-1])}
    assert found.keys() == {f"r{row}" for row in range(70)}
    assert [name for name, error in found.items() if error] == ["r3"]
    assert "when memory runs out" in str(found["r3"])

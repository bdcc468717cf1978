"""nimakit.scoring.bulk: runs of any size, which a later run resumes."""

import csv
import io
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import UsageError
from nimakit.models.engine import Model
from nimakit.progress import say
from nimakit.scoring.bulk import BulkRun, Cluster, Outcome, Task
from nimakit.scoring.outputs import ScoreLayout
from nimakit.scoring.records import ONLY
from nimakit.scoring.run import Run
from nimakit.scoring.shards import Shard
from nimakit.sources import open_source
from samples import write_photo
from terminal import Command

GROWING = [".jsonl", ".csv", "/"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos, and a text named .jpg."""
    folder = tmp_path_factory.mktemp("photos")
    for level in range(6):
        write_photo(folder / f"{level}.png", 40 * level)
    (folder / "text.jpg").write_text("no image", encoding="utf-8")
    return folder


def _manifest(folder: Path, photos: Path, names: Sequence[str]) -> Path:
    path = folder / "list.txt"
    path.write_text("".join(f"{photos / name}\n" for name in names), encoding="utf-8")
    return path


def _score(
    source: Path, model: Model, output: str | None, *, resume: bool = False, shard: str = "0/1", seed: int = 0
) -> Outcome:
    if output and output.endswith(("/", ".parquet")):
        pytest.importorskip("pyarrow")
    task = Task(
        source=open_source(str(source), notify=say), output=output, shard=Shard.parse(shard), resume=resume
    )
    run = BulkRun(task=task)
    run.check()
    layout = ScoreLayout(models=[ONLY], measures=False, identity={"model": model.name, "seed": seed})
    return run.score(model, layout, io.StringIO())


def _rows(output: str) -> list[tuple[str, float | None]]:
    """Ids and mean scores of an output."""
    path = Path(output)
    if output.endswith("/"):
        from pyarrow.parquet import read_table

        rows = [row for part in sorted(path.glob("*.parquet")) for row in read_table(part).to_pylist()]
        return [(row["id"], row["mean"]) for row in rows]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            cells = list(csv.DictReader(stream))
        return [(c["image"] or c["image_id"], float(c["mean_score_prediction"] or "nan")) for c in cells]
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(record["image_id"], record.get("mean_score_prediction")) for record in records]


def _intervals(output: str) -> list[list[float]]:
    """Lower and upper ends in an output; an empty list for a row without."""
    if output.endswith("/"):
        from pyarrow.parquet import read_table

        return [row["interval"] or [] for row in read_table(output).to_pylist()]
    lines = Path(output).read_text(encoding="utf-8").splitlines()
    if output.endswith(".csv"):
        ends = ("interval_low", "interval_high")
        return [[float(row[end]) for end in ends if row[end]] for row in csv.DictReader(lines)]
    return [json.loads(line).get("interval", []) for line in lines]


@pytest.mark.parametrize("suffix", GROWING)
def test_resumes_where_it_stopped(photos: Path, tiny: Model, tmp_path: Path, suffix: str) -> None:
    """Rows that are there are neither scored again nor changed; the rest follows."""
    output = f"{tmp_path}/scores{suffix}"
    names = [f"{level}.png" for level in range(6)]
    assert _score(_manifest(tmp_path, photos, names[:2]), tiny, output).scored == 2
    before = _rows(output)
    outcome = _score(_manifest(tmp_path, photos, names), tiny, output, resume=True)
    assert (outcome.scored, outcome.finished) == (4, 2)
    assert _rows(output)[:2] == before
    assert [key for key, _ in _rows(output)] == [str(photos / name) for name in names]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("cut", [1, 30, 150])
def test_a_row_that_breaks_off_is_scored_again(
    photos: Path, tiny: Model, tmp_path: Path, suffix: str, cut: int
) -> None:
    """A killed process, or a full disk, leaves half of a row."""
    output = f"{tmp_path}/scores{suffix}"
    source = _manifest(tmp_path, photos, ["0.png", "1.png", "2.png"])
    _score(source, tiny, output)
    whole = Path(output).read_bytes()
    Path(output).write_bytes(whole[:-cut])
    assert _score(source, tiny, output, resume=True).scored == 1
    assert Path(output).read_bytes() == whole


@pytest.mark.parametrize("suffix", GROWING)
def test_refuses_to_replace_an_output(photos: Path, tiny: Model, tmp_path: Path, suffix: str) -> None:
    """Hours of work may be in it; nor is it continued with another model or other settings."""
    output = f"{tmp_path}/scores{suffix}"
    source = _manifest(tmp_path, photos, ["0.png"])
    _score(source, tiny, output)
    rows = _rows(output)
    with pytest.raises(UsageError, match="--resume"):
        _score(source, tiny, output)
    with pytest.raises(UsageError, match="seed 1, not 0"):
        _score(source, tiny, output, resume=True, seed=1)
    assert _rows(output) == rows


def test_refuses_to_resume_what_is_written_at_the_end(photos: Path, tiny: Model, tmp_path: Path) -> None:
    """With the formats that can be resumed."""
    with pytest.raises(UsageError, match=r"Only a \.jsonl or \.csv"):
        _score(photos, tiny, f"{tmp_path}/scores.json", resume=True)


def test_a_file_of_somebody_else_is_not_continued(photos: Path, tiny: Model, tmp_path: Path) -> None:
    """Nothing is cut off a file that the command did not begin."""
    (tmp_path / "notes.csv").write_text("a,b\n1,2", encoding="utf-8")
    with pytest.raises(UsageError, match="one that this command began"):
        _score(photos, tiny, f"{tmp_path}/notes.csv", resume=True)
    assert (tmp_path / "notes.csv").read_text(encoding="utf-8") == "a,b\n1,2"


def test_each_id_comes_once(photos: Path, tiny: Model, tmp_path: Path, capfd: Any) -> None:
    """Rows that repeat an id are left out, counted and named; those without an image are errors."""
    output = f"{tmp_path}/scores.jsonl"
    source = _manifest(tmp_path, photos, ["0.png", "1.png", "0.png", "text.jpg", "none.png", "0.png"])
    outcome = _score(source, tiny, output)
    assert (outcome.scored, outcome.failed, outcome.repeated) == (2, 2, 2)
    assert Counter(key for key, _ in _rows(output)).most_common(1)[0][1] == 1
    assert f"the same id: 2 ({photos}/0.png, ...)" in capfd.readouterr().err
    assert {failure.split(": ")[0] for failure in outcome.failures} == {
        f"{photos}/text.jpg",
        f"{photos}/none.png",
    }


@pytest.mark.parametrize("suffix", ["/", ".jsonl"])
def test_shards_divide_a_source(photos: Path, tiny: Model, tmp_path: Path, suffix: str) -> None:
    """Every photo is in one of them; parts of all of them may lie in one folder."""
    keys: list[str] = []
    for index in range(3):
        output = f"{tmp_path}/scores{suffix}" if suffix == "/" else f"{tmp_path}/{index}{suffix}"
        _score(photos, tiny, output, shard=f"{index}/3")
        if suffix != "/" or index == 2:
            keys += [key for key, _ in _rows(output)]
    assert sorted(keys) == ["0", "1", "2", "3", "4", "5", "text"]


def test_refuses_another_number_of_shards(photos: Path, tiny: Model, tmp_path: Path) -> None:
    """Their rows would come twice."""
    _score(photos, tiny, f"{tmp_path}/parts/", shard="0/2")
    with pytest.raises(UsageError, match="as they were begun, as 2"):
        _score(photos, tiny, f"{tmp_path}/parts/", shard="0/3", resume=True)


def test_a_cluster_refuses_tar_files(tmp_path: Path) -> None:
    """Before anything starts; its nodes could not open what is in them."""
    (tmp_path / "a.tar").touch()
    source = open_source(str(tmp_path / "a.tar"), notify=say)
    with pytest.raises(UsageError, match="--shard"):
        Cluster().check(source)


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "a/b", "0/0", ""])
def test_refuses_what_is_no_shard(text: str) -> None:
    """With the rule."""
    with pytest.raises(UsageError, match="INDEX/COUNT"):
        Shard.parse(text)


def test_scores_are_those_of_a_run_of_the_folder(photos: Path, tiny: Model, tmp_path: Path) -> None:
    """Parquet has them as numbers, and the model in its metadata."""
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_schema, read_table

    stdout = io.StringIO()
    run = Run(source=photos, predictions_file=f"{tmp_path}/whole.parquet", measures=True)
    run.score(run.items(), tiny, stdout)
    records = {record["image_id"]: record for record in json.loads(stdout.getvalue())}
    whole = {row["id"]: row for row in read_table(tmp_path / "whole.parquet").to_pylist()}
    _score(photos, tiny, f"{tmp_path}/parts/")
    assert {key: row["mean"] for key, row in whole.items()} == dict(_rows(f"{tmp_path}/parts/"))
    assert whole["3"]["histogram"] == records["3"]["predictions"]
    assert whole["3"]["measures"] == records["3"]["measures"]
    assert whole["text"]["error"] == records["text"]["error"]
    assert whole["text"]["mean"] is None
    metadata = json.loads((read_schema(tmp_path / "whole.parquet").metadata or {})[b"nimakit"])
    assert metadata["sha256"] == tiny.sha256


@pytest.mark.parametrize("suffix", GROWING)
def test_intervals_are_in_every_output(
    photos: Path, calibrated_file: Path, tmp_path: Path, nimakit: Command, suffix: str
) -> None:
    """As in a run of a folder; a run is resumed only with the same coverage."""
    if suffix == "/":
        pytest.importorskip("pyarrow")
    output = f"{tmp_path}/scores{suffix}"
    source = _manifest(tmp_path, photos, ["0.png", "text.jpg"])
    options = ["predict", "--model", calibrated_file, "--image-source", source, "--predictions-file", output]
    assert nimakit(*options, "--intervals", 0.2).code == 2
    mean = _rows(output)[0][1]
    assert mean
    assert _intervals(output) == [pytest.approx([max(1, mean - 1), min(10, mean + 1)]), []]
    refused = nimakit(*options, "--intervals", 0.9, "--resume")
    assert refused.code == 1
    assert "intervals 0.9, not 0.2" in refused.err


def test_parts_in_a_store(photos: Path, tiny: Model) -> None:
    """Written and resumed as on this machine."""
    store = pytest.importorskip("fsspec").filesystem("memory")
    try:
        assert _score(photos, tiny, "memory://out/scores/").scored == 6
        assert _score(photos, tiny, "memory://out/scores/", resume=True).finished == 7
        assert len(store.glob("/out/scores/part-*.parquet")) == 1
    finally:
        store.rm("/out", recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", "/"])
def test_killed_at_any_moment_nothing_is_lost_or_doubled(
    photos: Path, tiny_file: Path, tmp_path: Path, suffix: str
) -> None:
    """Five times, at random; then the rest is scored, and every id is there once."""
    if suffix == "/":
        pytest.importorskip("pyarrow")
    links = tmp_path / "links"
    links.mkdir()
    for number in range(3000):
        (links / f"{number}.png").symlink_to(photos / f"{number % 6}.png")
    output = f"{tmp_path}/scores{suffix}"
    command = [sys.executable, "-m", "nimakit", "predict", "--image-source", str(links), "--model"]
    command += [str(tiny_file), "--predictions-file", output, "--resume"]
    seconds = random.Random(7)  # noqa: S311
    for _ in range(5):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1 + seconds.random())
        run.send_signal(signal.SIGKILL)
        run.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    counts = Counter(key for key, _ in _rows(output))
    assert sorted(counts, key=int) == [str(number) for number in range(3000)]
    assert set(counts.values()) == {1}

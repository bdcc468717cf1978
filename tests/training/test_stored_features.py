"""nimakit.training.stored_features: heads that learn from Parquet in place of photographs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.models.engine import Scorer
from nimakit.models.loading import load_model
from nimakit.models.score import Score
from nimakit.scoring import report
from nimakit.stats import head as head_module
from small_encoders import write_encoder
from small_jobs import COUNT, write_labels, write_photographs
from terminal import Command

parquet = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")

STORED = "memory://stored-features"
Train = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, labels, an encoder at two sizes in one config."""
    folder = tmp_path_factory.mktemp("stored")
    write_labels(folder / "labels.json", write_photographs(folder / "photos"))
    write_labels(folder / "test.json", write_photographs(folder / "photos", 6, prefix="test", seed=1))
    encoder = str(write_encoder(folder / "e.onnx"))
    encoders = [{"name": encoder}, {"name": encoder, "input_size": [32, 48]}]
    (folder / "config.json").write_text(json.dumps({"head_only": True, "encoders": encoders}), "utf-8")
    return folder


@pytest.fixture
def train(nimakit: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """`nimakit train` with the config and the labels; features are kept for all tests, reports are empty."""
    monkeypatch.setenv("NIMAKIT_CACHE", str(folder / "cache"))
    monkeypatch.setattr(report, "render", lambda **_: "")
    files = ["--config-file", folder / "config.json", "--samples-file", folder / "labels.json"]
    return lambda *more: nimakit("train", *files, "--jobs-dir", tmp_path / "jobs", *more)


@pytest.fixture
def parts(nimakit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The features in a store, in two shards."""
    monkeypatch.setenv("NIMAKIT_CACHE", str(folder / "cache"))
    source = ["--image-source", folder / "photos", "--config-file", folder / "config.json"]
    for shard in ("0/2", "1/2"):
        done = nimakit("features", *source, "--shard", shard, "--output", f"{STORED}/parts/")
        assert done.code == 0
    yield f"{STORED}/parts/"
    fsspec.filesystem("memory").rm("/stored-features", recursive=True)


def _means(job: str, folder: Path) -> list[float]:
    scores = Scorer(load_model(Path(job.strip()) / "model.onnx")).score(sorted((folder / "photos").iterdir()))
    return [score.mean for score in scores if isinstance(score, Score)]


def test_the_head_is_that_of_the_photographs(train: Train, folder: Path, parts: str) -> None:
    """From parts in a store, in whatever order, with a test set; no photograph is opened."""
    tested = ["--test-samples-file", folder / "test.json"]
    from_photos = train("--image-source", folder / "photos", *tested)
    done = train("--features", parts, *tested)
    assert done.code == from_photos.code == 0
    assert f"has features of {COUNT} of {COUNT} images; 6 rows of others" in done.err
    np.testing.assert_allclose(_means(done.out, folder), _means(from_photos.out, folder), rtol=0, atol=1e-6)
    figures = [
        json.loads(Path(text.strip(), "metrics.json").read_text("utf-8"))
        for text in (done.out, from_photos.out)
    ]
    for name in ("leave-one-out", "test"):
        assert figures[0][name]["images"] == figures[1][name]["images"]
        assert figures[0][name]["srcc_mean"] == pytest.approx(figures[1][name]["srcc_mean"], abs=1e-4)
    assert not list(Path(done.out.strip()).glob(".features*"))


def test_learns_from_all_rows(train: Train, parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where photographs would be too many; the figures are those of so many random ones."""
    monkeypatch.setattr(head_module, "MAX_EXAMPLES", 10)
    monkeypatch.setattr("nimakit.training.head.MAX_EXAMPLES", 8)
    done = train("--features", parts)
    job = Path(done.out.strip())
    assert f"learned from | {COUNT} photographs" in (job / "MODEL_CARD.md").read_text("utf-8")
    assert json.loads((job / "metrics.json").read_text("utf-8"))["leave-one-out"]["images"] == 8


def test_counts_what_is_missing_on_either_side(
    train: Train, folder: Path, parts: str, tmp_path: Path
) -> None:
    """Rows with an error, or without a label, are left out; a label without features only if allowed."""
    store = fsspec.filesystem("memory")
    one = tmp_path / "one.parquet"
    paths = sorted(store.glob("/stored-features/parts/*.parquet"))
    table = parquet.read_table(store.open(paths[0]))
    rows = table.to_pylist()
    dropped = next(row for row in rows if row["id"].startswith("p"))
    dropped.update(dict.fromkeys(table.column_names[1:-1]), error="damaged")
    parquet.write_table(type(table).from_pylist(rows, table.schema), one)
    refused = train("--features", one)
    assert refused.code == 1
    assert f"images that {folder / 'labels.json'} lists are not in {one} (leave them out" in refused.err
    done = train("--features", one, "--allow-missing")
    kept = [row["id"] for row in rows if row["id"].startswith("p") and row is not dropped]
    split = json.loads(Path(done.out.strip(), "split.json").read_text("utf-8"))
    assert split["training"] == sorted(kept)


def test_refuses_other_encoders(train: Train, folder: Path, parts: str, tmp_path: Path) -> None:
    """Of another size, or for images that are prepared in another way; before there is a job."""
    config = tmp_path / "config.json"
    name = str(folder / "e.onnx")
    for encoder, message in (
        ({"name": name, "input_size": [40, 40]}, "without those of tiny encoder@40x40 (only those of tiny"),
        ({"name": name}, "of images prepared in another way"),
    ):
        config.write_text(json.dumps({"head_only": True, "encoders": [encoder]}), "utf-8")
        done = train("--config-file", config, "--features", parts)
        assert (done.code, message in done.err) == (1, True)
        assert "nimakit features --config-file" in done.err
    assert not (tmp_path / "jobs").exists()


def test_refuses_what_is_no_features(train: Train, folder: Path, tmp_path: Path) -> None:
    """An empty folder, another Parquet file, or the config of a whole network."""
    pyarrow = pytest.importorskip("pyarrow")
    other = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"id": ["a"]}), other)
    (tmp_path / "none").mkdir()
    whole = tmp_path / "whole.json"
    whole.write_text('{"base_model_name": "MobileNet", "head_only": false}', encoding="utf-8")
    assert "that nimakit features wrote" in train("--features", other).err
    assert "or a folder of them" in train("--features", tmp_path / "none").err
    both = train("--features", other, "--image-source", folder / "photos")
    assert "in place of the last" in both.err

"""nimakit.models.catalogue: the list of models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import UsageError
from nimakit.jobs import Job
from nimakit.models.catalogue import CatalogueEntry, list_models
from nimakit.scoring.metrics import compare
from nimakit.stats.histogram import default_bins
from samples import metadata, write_model
from small_encoders import write_encoder

FIGURES = {"validation": {"srcc_mean": 0.5, "emd": 0.125}, "test": {"srcc_mean": 0.75, "emd": None}}


def _files(folder: Path) -> list[CatalogueEntry]:
    return [entry for entry in list_models([folder]) if entry.status != "public"]


def _job(folder: Path, metrics: Any = None) -> Job:
    job = Job.create(folder, {}, {})
    write_model(job.model_file, metadata(name="mine", side=16))
    if metrics is not None:
        job.metrics_file.write_text(json.dumps(metrics), encoding="utf-8")
    return job


def test_lists_the_public_models_first() -> None:
    """Public models are listed without being downloaded."""
    found = [(entry.model, entry.status, entry.base_model) for entry in list_models([])]
    assert found == [(name, "public", "MobileNet") for name in ("aesthetic", "technical")]


def test_lists_files_below_the_folders_once(tmp_path: Path) -> None:
    """Sub-folders are searched; a file found through two folders is listed once."""
    (tmp_path / "sub").mkdir()
    write_model(tmp_path / "sub" / "b.onnx", metadata(bins=(0, 1, 2), name="b"))
    write_model(tmp_path / "a.onnx")
    found = list_models([tmp_path, tmp_path / "sub"])[2:]
    assert [Path(entry.model).name for entry in found] == ["a.onnx", "b.onnx"]
    assert (found[1].name, found[1].bins, found[1].input_size, found[1].status) == (
        "b",
        (0, 1, 2),
        (8, 8),
        "file",
    )


def test_lists_an_encoder_as_one(tmp_path: Path) -> None:
    """It is neither a model nor damaged."""
    write_encoder(tmp_path / "e.onnx")
    [entry] = _files(tmp_path)
    assert (entry.status, entry.name, entry.bins, entry.problems) == ("encoder", "tiny encoder", (), ())
    assert entry.row()[3] == "-"


def test_shows_a_job_with_its_status_and_figures(tmp_path: Path) -> None:
    """Status comes from run.json, metrics from metrics.json: those of the test set if it has them."""
    job = _job(tmp_path, FIGURES)
    job.update("complete")
    [entry] = _files(tmp_path)
    assert (entry.status, entry.metrics, entry.problems) == ("complete", FIGURES, ())
    row = dict(zip(CatalogueEntry.COLUMNS, entry.row(), strict=True))
    assert (row["SRCC"], row["EMD"], row["SET"]) == ("0.750", "-", "test")
    assert (row["BINS"], row["INPUT"]) == ("10 (1 to 10)", "16x16")


def test_falls_back_to_the_validation_set(tmp_path: Path) -> None:
    """A job without a test set shows its validation metrics."""
    _job(tmp_path, {"validation": FIGURES["validation"]})
    row = dict(zip(CatalogueEntry.COLUMNS, _files(tmp_path)[0].row(), strict=True))
    assert (row["SRCC"], row["EMD"], row["SET"]) == ("0.500", "0.125", "validation")


def test_takes_the_figures_of_an_evaluation(tmp_path: Path) -> None:
    """A metrics.json from `nimakit evaluate` counts as one of a test set."""
    labels, bins = np.eye(3)[[0, 1, 2, 1]], default_bins(3)
    means = np.array([1.2, 2.1, 2.2, 1.9])
    figures = compare(
        labels=labels, label_bins=bins, means=means, sds=None, histograms=None, bins=bins
    ).to_dict()
    _job(tmp_path, figures)
    [entry] = _files(tmp_path)
    assert (entry.metrics, entry.problems) == ({"test": figures}, ())
    row = dict(zip(CatalogueEntry.COLUMNS, entry.row(), strict=True))
    assert (row["SRCC"], row["SET"]) == (f"{figures['srcc_mean']:.2f}", "test (4 images)")


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        ({"training_images": 40}, "training"),
        ({"validation_images": 40}, "validation"),
        ({"training_images": 3, "validation_images": 2}, "test (3 trained on)"),
        ({"training_images": None, "validation_images": None}, "test"),
    ],
)
def test_marks_sets_of_training_images(tmp_path: Path, counts: dict[str, int | None], name: str) -> None:
    """A test set of training pictures is marked."""
    _job(tmp_path, {"images": 40, "emd": 0.1, "srcc_mean": 0.5, "notes": ["a sentence"], **counts})
    row = dict(zip(CatalogueEntry.COLUMNS, _files(tmp_path)[0].row(), strict=True))
    assert (row["SRCC"], row["SET"]) == ("0.500", name)


@pytest.mark.parametrize("metrics", [[], {"images": 3}, {"test": {"emd": "low"}}])
def test_lists_a_model_with_damaged_figures(tmp_path: Path, metrics: Any) -> None:
    """An unreadable file next to a model is reported as a problem of that model."""
    _job(tmp_path, metrics)
    [entry] = _files(tmp_path)
    assert (entry.status, entry.metrics) == ("prepared", {})
    assert "metrics.json" in entry.problems[0]


def test_lists_a_damaged_file_with_its_problem(tmp_path: Path) -> None:
    """A file that is not a model, or has no metadata, does not hide the others."""
    (tmp_path / "a.onnx").write_bytes(b"no model")
    write_model(tmp_path / "b.onnx", written=None)
    write_model(tmp_path / "c.onnx")
    found = _files(tmp_path)
    assert [entry.status for entry in found] == ["damaged", "damaged", "file"]
    assert "valid ONNX model" in found[0].problems[0]
    assert found[0].row()[2:] == ("-",) * 7


def test_lists_a_model_whose_job_is_damaged(tmp_path: Path) -> None:
    """A broken run.json only loses the status."""
    job = _job(tmp_path)
    job.run_file.write_text("{", encoding="utf-8")
    [entry] = _files(tmp_path)
    assert (entry.status, entry.name) == ("file", "mine")
    assert len(entry.problems) == 1


def test_rejects_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing folder is an error."""
    with pytest.raises(UsageError, match=r"Received: .*nowhere"):
        list_models([tmp_path / "nowhere"])

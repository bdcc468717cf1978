"""nimakit.training.cross_validation: a training job for each fold."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import ConfigError, TrainingError
from nimakit.images.photo import MAX_PIXELS
from nimakit.jobs import Job
from nimakit.labels.label_file import read_labels
from nimakit.scoring.candidates import LabelledImages, Settings, labelled_images
from nimakit.training import cross_validation
from nimakit.training.cross_validation import Jobs
from nimakit.training.preparation import Request, prepare
from samples import metadata, write_model
from small_jobs import BINS, write_config, write_labels, write_photographs

COUNT = 9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs, labels and a config; instead of training, a job gets a small model file."""
    names = write_photographs(tmp_path / "photographs", COUNT)
    write_labels(tmp_path / "labels.json", names)
    write_config(tmp_path / "config.json")
    model = write_model(tmp_path / "tiny.onnx", metadata(bins=range(1, BINS + 1)))
    runs: list[Sequence[str]] = []

    def train(options: Sequence[str]) -> str:
        runs.append(options)
        given = dict(zip(options[::2], options[1::2], strict=True))
        job = prepare(
            Request(
                config_file=Path(given["--config-file"]),
                samples_file=Path(given["--samples-file"]),
                image_dir=Path(given["--image-source"]),
                recursive=False,
                test_samples_file=None,
                jobs_dir=Path(given["--jobs-dir"]),
                allow_missing=False,
                docker_image=None,
            )
        )
        shutil.copy(model, job.model_file)
        job.update("complete")
        (tmp_path / "runs.json").write_text(json.dumps(len(runs)), encoding="utf-8")
        return str(job.folder)

    monkeypatch.setattr(cross_validation, "_train", train)
    return tmp_path


def _images(folder: Path) -> LabelledImages:
    labels = read_labels(folder / "labels.json")
    return labelled_images(labels, folder / "photographs", recursive=False, notify=print)[0]


def _jobs(folder: Path) -> Jobs:
    return Jobs(
        labels=read_labels(folder / "labels.json"),
        image_dir=folder / "photographs",
        recursive=False,
        folder=folder / "jobs",
        seed=0,
    )


def _settings(*only: int) -> Settings:
    return Settings(folds=np.arange(COUNT) % 3, only=only, max_pixels=MAX_PIXELS, notify=print)


@pytest.mark.slow  # jobs are prepared by TensorFlow
def test_trains_a_job_without_each_fold_and_predicts_it(folder: Path) -> None:
    """Each learns from the other images; later runs use complete jobs again, whatever folds they choose."""
    images, config = _images(folder), folder / "config.json"
    one = cross_validation.cross_validated(images, config, "a/b", _settings(1), _jobs(folder))
    assert np.flatnonzero(np.isfinite(one.predictions.means)).tolist() == [1, 4, 7]
    outcome = cross_validation.cross_validated(images, config, "a/b", _settings(), _jobs(folder))
    assert np.isfinite(outcome.predictions.means).all()
    assert outcome.predictions.name == "a/b"
    assert outcome.predictions.histograms is not None
    np.testing.assert_allclose(outcome.predictions.histograms.sum(axis=1), 1)
    [fold] = (folder / "jobs" / "seed_0_fold_1_of_3" / "a_b").iterdir()
    learned = read_labels(Job.open(fold).samples_file).image_ids
    assert {*learned} == {*images.image_ids} - {images.image_ids[row] for row in (1, 4, 7)}
    assert json.loads((folder / "runs.json").read_text("utf-8")) == 3


@pytest.mark.slow  # the same
def test_a_changed_config_is_trained_anew(folder: Path) -> None:
    """Under the same name; and a config for other labels is refused before anything is trained."""
    images = _images(folder)
    for rate in (0.1, 0.2):
        config = write_config(folder / "config.json", dropout_rate=rate)
        cross_validation.cross_validated(images, config, "a/b", _settings(0), _jobs(folder))
    assert json.loads((folder / "runs.json").read_text("utf-8")) == 2
    config = write_config(folder / "config.json", n_classes=BINS + 1)
    with pytest.raises(ConfigError, match="n_classes"):
        cross_validation.cross_validated(images, config, "a/b", _settings(0), _jobs(folder))


def test_a_job_that_fails_ends_the_comparison() -> None:
    """With what to do; the reason is printed by the job itself."""
    with pytest.raises(TrainingError, match="the same command continues"):
        cross_validation._train(["--config-file", "missing.json"])

"""nimakit.commands.evaluate: `nimakit evaluate`."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from nimakit.jobs import Job
from samples import write_model, write_photo
from terminal import Command, Result

LABELS = [
    {"image_id": "a", "label": [9, 1, 0, 0, 0, 0, 0, 0, 0, 0]},
    {"image_id": "b", "label": [0, 0, 0, 0, 5, 5, 0, 0, 0, 0]},
    {"image_id": "c", "label": [0, 0, 0, 0, 0, 0, 0, 0, 1, 9]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos a, b and c, from dark to bright."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, level in (("a", 20), ("b", 120), ("c", 240)):
        write_photo(folder / f"{name}.png", level)
    return folder


def _labels(path: Path, labels: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(labels), encoding="utf-8")
    return path


@pytest.fixture
def evaluate(nimakit: Command, tiny_file: Path, folder: Path, tmp_path: Path) -> Command:
    """Runs `nimakit evaluate` with the small model on the three photos."""

    def run(*arguments: object, labels: list[dict[str, Any]] = LABELS) -> Result:
        samples = _labels(tmp_path / "labels.json", labels)
        given = ("--model", tiny_file, "--samples-file", samples, "--image-dir", folder)
        return nimakit("evaluate", *given, *arguments)

    return run


def test_puts_the_figures_on_stdout_and_a_sentence_on_stderr(evaluate: Command) -> None:
    """Stdout is a JSON object and nothing else."""
    result = evaluate()
    assert result.code == 0
    figures = json.loads(result.out)
    assert (figures["images"], figures["srcc_mean"]) == (3, pytest.approx(1))
    assert figures["emd"] > 0
    assert result.err.startswith("nimakit: in short: Too few pictures to tell.")
    assert "\nnimakit: 3 labelled images: EMD 0." in result.err


def test_writes_figures_report_and_predictions(evaluate: Command, tmp_path: Path) -> None:
    """--output-dir is created, and its three files agree with stdout."""
    folder = tmp_path / "new" / "judged"
    result = evaluate("--output-dir", folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "metrics.json",
        "predictions.csv",
        "report.html",
    ]
    assert json.loads((folder / "metrics.json").read_text("utf-8")) == json.loads(result.out)
    rows = list(csv.DictReader((folder / "predictions.csv").read_text("utf-8").splitlines()))
    assert [row["image_id"] for row in rows] == ["a", "b", "c"]
    assert [float(row["mean_score_label"]) for row in rows] == [1.1, 5.5, 9.9]
    assert float(rows[0]["mean_score_prediction"]) < float(rows[2]["mean_score_prediction"])
    assert f"nimakit: report: {folder / 'report.html'}\n" in result.err
    report = (folder / "report.html").read_text("utf-8")
    assert "How well tiny judges photographs" in report
    assert "Test: 3 pictures" in report
    assert "How it learned" not in report
    assert "The model was trained on" not in report + result.err
    assert "best epoch (its validation" not in report + result.err
    assert (json.loads(result.out)["training_images"], json.loads(result.out)["validation_images"]) == (
        None,
        None,
    )


def test_figures_of_few_images_have_two_decimals_and_a_warning(evaluate: Command) -> None:
    """Stderr shows rounded metrics with a warning; the JSON is not rounded."""
    result = evaluate()
    assert "SRCC 1.00 " in result.err
    assert "nimakit: These figures are a rough guide, from only 3 images" in result.err
    figures = json.loads(result.out)
    assert figures["emd"] != round(figures["emd"], 2)
    assert [note[:34] for note in figures["notes"]] == ["These figures are a rough guide, f"]


@pytest.mark.parametrize(
    ("split", "counts", "name"),
    [
        ({"training": ["a", "b", "c"], "validation": []}, (3, 0), "Training"),
        ({"training": ["a", "x"], "validation": ["b"]}, (1, 1), "Test"),
        ({"training": ["x"], "validation": ["a", "b", "c"]}, (0, 3), "Validation"),
    ],
)
def test_says_how_many_images_the_model_was_trained_on(
    evaluate: Command, tmp_path: Path, split: Any, counts: tuple[int, int], name: str
) -> None:
    """Training images, by the split.json next to the model, are reported in all outputs."""
    job = Job.create(tmp_path / "jobs", {}, {})
    write_model(job.model_file)
    job.split_file.write_text(json.dumps(split), encoding="utf-8")
    result = evaluate("--model", job.model_file, "--output-dir", tmp_path / "judged")
    figures = json.loads(result.out)
    assert (figures["training_images"], figures["validation_images"]) == counts
    report = (tmp_path / "judged" / "report.html").read_text("utf-8")
    assert f"{name}: 3 pictures" in report
    for count, text in zip(counts, ("The model was trained on", "best epoch (its validation"), strict=True):
        for page in (result.err, report, str(figures["notes"])):
            assert (text in page.replace("&#39;", "'")) == bool(count)


def test_refuses_a_damaged_split(evaluate: Command, tmp_path: Path) -> None:
    """A damaged split.json is refused before scoring."""
    job = Job.create(tmp_path / "jobs", {}, {})
    write_model(job.model_file)
    job.split_file.write_text('{"training": 3}', encoding="utf-8")
    result = evaluate("--model", job.model_file)
    assert (result.code, result.out) == (1, "")
    assert "split.json must list the image_ids of each part. Received: " in result.err


def test_ends_with_2_where_some_images_could_not_be_scored(evaluate: Command, tmp_path: Path) -> None:
    """Failures are on stderr, in the report and in predictions.csv; the metrics are of all others."""
    labels = [*LABELS, {"image_id": "none", "label": [1] * 10}]
    result = evaluate("--output-dir", tmp_path, labels=labels)
    assert result.code == 2
    assert json.loads(result.out)["images"] == 3
    assert "nimakit: none: The image source has no image" in result.err
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text("utf-8").splitlines()))
    assert "no image with this image_id" in rows[3]["error"]
    assert "1 could not be scored" in (tmp_path / "report.html").read_text("utf-8")


def test_lists_twenty_failures_and_counts_the_rest(evaluate: Command) -> None:
    """At most 20 failures are listed."""
    result = evaluate(labels=[*LABELS, *({"image_id": f"x{i}", "label": [1] * 10} for i in range(25))])
    assert len(result.err.splitlines()) == 27
    assert "and 5 more that could not be scored" in result.err


def test_averages_models_given_several_times(evaluate: Command, tmp_path: Path) -> None:
    """Several models are averaged."""
    other = write_model(tmp_path / "other.onnx", gain=-1.0)
    assert json.loads(evaluate().out)["emd"] != json.loads(evaluate("--model", other).out)["emd"]


def test_takes_the_options_of_predict(evaluate: Command, folder: Path, tmp_path: Path) -> None:
    """--recursive, --tta and --max-pixels work as in predict."""
    (folder / "sub").mkdir()
    (folder / "c.png").rename(folder / "sub" / "c.png")
    assert evaluate().code == 2
    assert evaluate("--recursive", "--tta").code == 0
    result = evaluate("--max-pixels", 1)
    assert (result.code, result.out) == (1, "")
    assert "none of them usable; the first: a: " in result.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [{"image_id": "a"}]}, "only names images; nimakit predict scores them"),
        ({"labels": [{"image_id": "a", "label": [0, 0]}]}, "nobody rated it"),
        (
            {"arguments": ["--image-dir", "nowhere"]},
            "--image-source must be a folder of images. Received: nowhere",
        ),
        ({"arguments": ["--model", "beauty"]}, "Received: beauty"),
    ],
    ids=["no labels", "bad labels", "no folder", "no model"],
)
def test_ends_with_1_on_a_usage_error(evaluate: Command, changes: dict[str, Any], message: str) -> None:
    """Stdout is empty, and one line on stderr gives the error."""
    result = evaluate(*changes.get("arguments", ()), labels=changes.get("labels", LABELS))
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_refuses_folders_in_which_something_would_be_lost(evaluate: Command, tmp_path: Path) -> None:
    """A job's own report, and a label file with the name of an output, are not overwritten."""
    job = Job.create(tmp_path / "jobs", {}, {})
    result = evaluate("--output-dir", job.folder)
    assert result.code == 1
    assert "must not be a job folder" in result.err
    samples = _labels(tmp_path / "metrics.json", LABELS)
    result = evaluate("--samples-file", samples, "--output-dir", tmp_path)
    assert "An output file must not be an input" in result.err
    assert json.loads(samples.read_text("utf-8")) == LABELS


def test_refuses_an_output_folder_that_is_a_file(evaluate: Command, tmp_path: Path) -> None:
    """An unwritable folder is refused before scoring."""
    (tmp_path / "file").touch()
    result = evaluate("--output-dir", tmp_path / "file")
    assert (result.code, result.out) == (1, "")
    assert "could not be written" in result.err


@pytest.mark.filterwarnings(
    # Keras and TensorFlow are behind NumPy 2 in two places.
    "ignore:In the future `np.object`:FutureWarning",
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
)
@pytest.mark.slow
def test_shows_what_the_model_looks_at(nimakit: Command, folder: Path, tmp_path: Path) -> None:
    """The report shows maps for a model with Keras weights."""
    import small_backbone
    from small_models import write_job

    with small_backbone.registered():
        job = write_job(tmp_path / "job")
        samples = _labels(tmp_path / "labels.json", LABELS)
        given = ("--samples-file", samples, "--image-dir", folder, "--output-dir", tmp_path / "judged")
        result = nimakit("evaluate", "--model", job / "model.onnx", "--explain", *given)
    assert result.code == 0, result.err
    report = (tmp_path / "judged" / "report.html").read_text("utf-8")
    assert all(f"What the model looks at in {name}" in report for name in "abc")


def test_explanations_need_a_report(evaluate: Command) -> None:
    """Without one they are refused before scoring."""
    assert "needs --output-dir" in evaluate("--explain").err

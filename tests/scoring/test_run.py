"""nimakit.scoring.run: one run of `nimakit predict`."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import MissingExtraError, OutputError, UsageError
from nimakit.images.measures import MEASURES
from nimakit.labels.label_file import Labels
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network
from nimakit.reports import html
from nimakit.scoring.records import ONLY
from nimakit.scoring.run import Run, Summary
from nimakit.stats.histogram import normalise
from samples import write_photo


def _refuse() -> None:
    raise MissingExtraError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos, a dark, a bright and a middling one, and a text named .jpg."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, level in (("a", 20), ("b", 240), ("c", 120)):
        write_photo(folder / f"{name}.png", level)
    (folder / "text.jpg").write_text("no image", encoding="utf-8")
    return folder


def _score(run: Run, model: Model) -> tuple[list[dict[str, Any]], Summary]:
    stdout = io.StringIO()
    summary = run.score(run.items(), model, stdout)
    return json.loads(stdout.getvalue()), summary


def test_writes_a_record_for_every_image_in_order(folder: Path, tiny: Model) -> None:
    """Failures are listed with the reason, all other images are scored."""
    records, summary = _score(Run(source=folder), tiny)
    assert [record["image_id"] for record in records] == ["a", "b", "c", "text"]
    assert ["error" in record for record in records] == [False, False, False, True]
    assert (summary.scored, len(summary.failures), summary.metrics) == (3, 1, {})
    assert summary.failures[0].startswith("text: The file must be an image")


def test_top_gives_the_best_first(folder: Path, tiny: Model) -> None:
    """The N best come first, in falling order, then failures."""
    records, summary = _score(Run(source=folder, top=2), tiny)
    assert [record["image_id"] for record in records] == ["b", "c", "text"]
    assert ["error" in record for record in records] == [False, False, True]
    assert len(summary.failures) == 1


def test_normalises_over_the_whole_set(folder: Path, tiny: Model) -> None:
    """The lowest score of all images is 0, not the lowest of the output."""
    records, _ = _score(Run(source=folder, top=2, normalise=True), tiny)
    assert records[0]["normalized_score"] == 1
    assert 0 < records[1]["normalized_score"] < 1


def test_writes_every_file_asked_for(folder: Path, tiny: Model, tmp_path: Path) -> None:
    """Predictions, metrics and the report of one run agree with stdout."""
    labels = Labels(image_ids=("a", "b", "text"), histograms=normalise([[9] + [0] * 9, [1] * 10, [1] * 10]))
    run = Run(
        source=folder,
        labels=labels,
        predictions_file=str(tmp_path / "p.JSON"),
        metrics_file=tmp_path / "m.json",
        report_file=tmp_path / "r.html",
    )
    records, summary = _score(run, tiny)
    assert json.loads((tmp_path / "p.JSON").read_text(encoding="utf-8")) == records
    metrics = summary.metrics[ONLY]
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == metrics.to_dict()
    assert metrics.images == 2
    sheet = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "2 photographs, best first" in sheet
    assert "1 could not be scored" in sheet


def test_measures_are_in_records_and_columns_only_on_request(
    folder: Path, tiny: Model, tmp_path: Path
) -> None:
    """They change nothing else, and an image that cannot be scored has none."""
    table = tmp_path / "p.csv"
    plain, _ = _score(Run(source=folder, predictions_file=str(table)), tiny)
    assert "sharpness" not in table.read_text(encoding="utf-8")
    records, _ = _score(Run(source=folder, measures=True, predictions_file=str(table)), tiny)
    assert [list(record.pop("measures", ())) for record in records] == [*3 * [list(MEASURES)], []]
    assert records == plain
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [row["measures.megapixels"] for row in rows] == [*3 * ["0.000108"], ""]
    assert {row["measures.sharpness"] for row in rows} == {""}  # too small to have any


def test_intervals_are_in_records_and_columns_only_on_request(
    folder: Path, calibrated_file: Path, tmp_path: Path
) -> None:
    """Of a model whose file has its errors."""
    table = tmp_path / "p.csv"
    model = Model([Member(Network(calibrated_file))])
    plain, _ = _score(Run(source=folder, predictions_file=str(table)), model)
    assert "interval" not in table.read_text(encoding="utf-8")
    records, _ = _score(Run(source=folder, predictions_file=str(table)), model.with_intervals(0.2))
    ends = [record.pop("interval", None) for record in records]
    assert records == plain
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    for row, record, pair in zip(rows[:3], records[:3], ends[:3], strict=True):
        mean = record["mean_score_prediction"]
        assert pair == pytest.approx([max(1, mean - 1), min(10, mean + 1)])
        assert [float(row["interval_low"]), float(row["interval_high"])] == pair
    assert (ends[3], rows[3]["interval_low"]) == (None, "")
    assert model.sha256 != model.with_intervals(0.2).sha256  # a run is resumed only with the same


def test_parquet_has_intervals_as_lists(folder: Path, calibrated_file: Path, tmp_path: Path) -> None:
    """The column is only there on request, and empty for an image that cannot be scored."""
    read_table = pytest.importorskip("pyarrow.parquet").read_table
    table = tmp_path / "p.parquet"
    model = Model([Member(Network(calibrated_file))])
    records, _ = _score(Run(source=folder, predictions_file=str(table)), model.with_intervals(0.2))
    assert read_table(table)["interval"].to_pylist() == [record.get("interval") for record in records]
    assert records[0]["interval"]
    _score(Run(source=folder, predictions_file=str(table)), model)
    assert "interval" not in read_table(table).column_names


def test_writes_metrics_where_no_labelled_image_was_scored(tmp_path: Path, folder: Path, tiny: Model) -> None:
    """The metrics file is written, with 0 images."""
    labels = Labels(image_ids=("text",), histograms=normalise([[1] * 10]))
    run = Run(source=folder, labels=labels, metrics_file=tmp_path / "m.json")
    assert _score(run, tiny)[1].metrics == {}
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == {"images": 0}


def test_refuses_before_the_work_what_would_fail_after_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output paths and optional packages are checked up front."""
    for output in ("predictions_file", "metrics_file", "report_file"):
        path = tmp_path / "out.txt"
        wrong: dict[str, Any] = {output: str(path) if output == "predictions_file" else path}
        with pytest.raises(UsageError, match=r"Received: .*out\.txt"):
            Run(source=folder, **wrong).items()
    monkeypatch.setattr(html, "require_jinja", _refuse)
    with pytest.raises(MissingExtraError):
        Run(source=folder, report_file=tmp_path / "r.html").items()


def test_a_failure_leaves_no_predictions(
    folder: Path, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full at the end, the old predictions remain, and no partial new ones."""
    predictions = tmp_path / "p.csv"
    predictions.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        _score(Run(source=folder, predictions_file=str(predictions)), tiny)
    assert predictions.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "photos"]


def test_applies_the_pixel_limit_to_every_image(folder: Path, tiny: Model) -> None:
    """Photos above max_pixels are refused one by one."""
    write_photo(folder / "small.png", size=(2, 2))
    records, summary = _score(Run(source=folder, max_pixels=4), tiny)
    assert [record["image_id"] for record in records if "error" not in record] == ["small"]
    assert len(summary.failures) == 4


@pytest.mark.slow
def test_scores_a_folder_of_ten_thousand(tmp_path: Path, tiny: Model) -> None:
    """A large folder gives a record for each of its files."""
    first = write_photo(tmp_path / "00000.png", size=(16, 16))
    for i in range(1, 10_000):
        os.link(first, tmp_path / f"{i:05}.png")
    records, summary = _score(Run(source=tmp_path), tiny)
    assert [record["image_id"] for record in records] == [f"{i:05}" for i in range(10_000)]
    assert (summary.scored, summary.failures) == (10_000, [])
    assert len({record["mean_score_prediction"] for record in records}) == 1

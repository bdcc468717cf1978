"""nimakit.scoring.records: score records and the files they go to."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest

from nimakit.errors import ImageError
from nimakit.models.score import Score, error_record, score_record
from nimakit.scoring.records import RecordWriter, add_min_max, csv_columns, rank

RECORDS: list[dict[str, Any]] = [
    {"image_id": 'a, "b"', **score_record(Score(5.25, 1.5, np.array([0.25, 0.75]), 62.0))},
    {"image_id": "c\udce9", **error_record(ImageError("It is broken."))},
]


def test_score_records_hold_rounded_plain_values() -> None:
    """Figures are Python floats of six decimals, the percentile of two."""
    record = score_record(Score(1 / 3, 2 / 3, np.array([1 / 3, 2 / 3]), 100 / 3))
    assert record == {
        "mean_score_prediction": 0.333333,
        "sd_score_prediction": 0.666667,
        "predictions": [0.333333, 0.666667],
        "percentile": 33.33,
    }


def test_score_records_leave_out_what_a_model_does_not_give() -> None:
    """Without a distribution the spread is null and the list empty; without a reference no percentile."""
    assert score_record(Score(5.0, None, None, None)) == {
        "mean_score_prediction": 5.0,
        "sd_score_prediction": None,
        "predictions": [],
    }


def test_min_max_leaves_errors_alone() -> None:
    """Only scored records are stretched, from 0 for the lowest to 1 for the highest."""
    records: list[dict[str, Any]] = [{"mean_score_prediction": m} for m in (5.0, 4.0, 6.0)]
    records.insert(1, {"error": "broken"})
    add_min_max(records)
    assert [record.get("normalized_score") for record in records] == [0.5, None, 0.0, 1.0]


def test_ranks_best_first_equals_by_name_and_errors_last() -> None:
    """Ties are broken by image_id."""
    records: list[dict[str, Any]] = [
        {"image_id": "x", "error": "broken"},
        {"image_id": "b", "mean_score_prediction": 5.0},
        {"image_id": "c", "mean_score_prediction": -6.0},
        {"image_id": "a", "mean_score_prediction": 5.0},
        {"image_id": "d", "mean_score_prediction": 7.0},
    ]
    assert "".join(record["image_id"] for record in sorted(records, key=rank)) == "dabcx"


def _written(suffix: str, records: list[dict[str, Any]], **options: Any) -> str:
    stream = io.StringIO()
    writer = RecordWriter(stream, "a stream", suffix, **options)
    for record in records:
        writer.write(record)
    writer.close()
    return stream.getvalue()


@pytest.mark.parametrize("records", [[], RECORDS[:1], RECORDS])
def test_writes_json_that_reads_back(records: list[dict[str, Any]]) -> None:
    """However many records there are, the text is one JSON array."""
    assert json.loads(_written(".json", records)) == records


def test_writes_a_json_object_a_line() -> None:
    """Each line of .jsonl is a record."""
    assert [json.loads(line) for line in _written(".jsonl", RECORDS).splitlines()] == RECORDS


def test_writes_csv_with_a_column_for_each_field() -> None:
    """Names with commas and quotes survive, the distribution is one column, errors have theirs."""
    rows = list(csv.DictReader(io.StringIO(_written(".csv", RECORDS))))
    assert [row["image_id"] for row in rows] == ['a, "b"', "c\udce9"]
    assert rows[0]["predictions"] == "0.25 0.75"
    assert float(rows[0]["mean_score_prediction"]) == 5.25
    assert (rows[1]["mean_score_prediction"], rows[1]["error"]) == ("", "It is broken.")


def test_intervals_of_several_models_have_columns_of_their_own() -> None:
    """Two for each model."""
    scores = {"a": Score(5.0, None, None, None, interval=(4, 6)), "b": Score(2.0, None, None, None)}
    columns = csv_columns(["a", "b"], intervals=True)
    written = _written(".csv", [{"image_id": "x", **score_record(scores)}], columns=columns)
    [row] = csv.DictReader(io.StringIO(written))
    assert (row["a.interval_low"], row["a.interval_high"], row["b.interval_low"]) == ("4", "6", "")


def test_the_scores_of_several_models_have_their_names() -> None:
    """Each model's scores are under its name, in JSON as in a .csv; an error is the whole record's."""
    scores = {"a": Score(5.25, 1.5, np.array([0.25, 0.75]), 62.0), "b": Score(2.0, None, None, None)}
    records = [{"image_id": "x", **score_record(scores)}, {"image_id": "y", "error": "It is broken."}]
    assert records[0]["b"] == {"mean_score_prediction": 2.0, "sd_score_prediction": None, "predictions": []}
    add_min_max(records, "b")
    assert records[0]["b"]["normalized_score"] == 0.5
    assert [record["image_id"] for record in sorted(records, key=lambda r: rank(r, "b"))] == ["x", "y"]
    rows = list(csv.DictReader(io.StringIO(_written(".csv", records, columns=csv_columns(["a", "b"])))))
    filled = [{key: value for key, value in row.items() if value} for row in rows]
    assert filled == [
        {
            "image_id": "x",
            "a.mean_score_prediction": "5.25",
            "a.sd_score_prediction": "1.5",
            "a.percentile": "62.0",
            "a.predictions": "0.25 0.75",
            "b.mean_score_prediction": "2.0",
            "b.normalized_score": "0.5",
        },
        {"image_id": "y", "error": "It is broken."},
    ]

"""Score records of images: normalising, ranking and writing them as JSON, JSON lines or CSV."""

import json
from collections.abc import Sequence
from typing import IO, Any

from nimakit.images.measures import MEASURES
from nimakit.io.atomic import output_errors
from nimakit.io.delimited import TableWriter
from nimakit.models.score import DIGITS, Record
from nimakit.stats import histogram

FILE_SUFFIXES = (".json", ".jsonl", ".csv")
ONLY = ""
"""In place of a model's name where there is only one, whose scores are in the record itself."""

_SCORE_KEYS = ("mean_score_prediction", "sd_score_prediction", "percentile", "normalized_score")
CSV_COLUMNS = ("image_id", "image", *_SCORE_KEYS, "error", "predictions")
"""Columns of a .csv of one model's records."""


_ENDS = {"interval_low": 0, "interval_high": 1}
"""Columns of a .csv -> place in a record's ``interval``."""


def csv_columns(models: Sequence[str], *, measures: bool = False, intervals: bool = False) -> tuple[str, ...]:
    """Columns of a .csv: those of one model, or ``NAME.KEY`` for each of several side by side.

    Args:
        models: Names of the models, or `ONLY`.
        measures: Whether to add ``measures.KEY`` for each technical measure.
        intervals: Whether to add ``interval_low`` and ``interval_high``.

    >>> csv_columns(["a", "b"])[2:4]
    ('a.mean_score_prediction', 'a.sd_score_prediction')
    """
    measured = [f"measures.{name}" for name in MEASURES] if measures else []
    ends = tuple(_ENDS) if intervals else ()
    if list(models) == [ONLY]:
        return (*CSV_COLUMNS, *ends, *measured)
    scores = [f"{model}.{key}" for model in models for key in (*_SCORE_KEYS, "predictions", *ends)]
    return ("image_id", "image", *scores, "error", *measured)


def scores_in(record: Record, model: str = ONLY) -> Record:
    """The part of a record with the scores of a model; of one without scores, the record itself."""
    scores: Record = record.get(model, record)
    return scores


def add_min_max(records: Sequence[Record], model: str = ONLY) -> None:
    """Add ``normalized_score`` to each scored record: 0 for the lowest mean of the set, 1 for the highest."""
    scored = [scores_in(record, model) for record in records if "error" not in record]
    stretched = histogram.min_max([scores["mean_score_prediction"] for scores in scored])
    for scores, value in zip(scored, stretched, strict=True):
        scores["normalized_score"] = round(float(value), DIGITS)


def rank(record: Record, model: str = ONLY) -> tuple[bool, float, str]:
    """Sort key, best first: by falling mean, then by image_id; errors last."""
    mean = scores_in(record, model).get("mean_score_prediction", 0.0)
    return "error" in record, -mean, record["image_id"]


class RecordWriter:
    """Writes records one by one, so that memory does not grow with their number.

    Args:
        stream: Text stream.
        name: Name of the stream in error messages.
        suffix: ``.json`` (an array, one record per line), ``.jsonl`` or ``.csv``.
        columns: Columns of a .csv: keys, or ``NAME.KEY`` for a key of the model NAME, or of measures.
        continued: Whether the stream has records already, so that a .csv has its header.

    Attributes:
        count: Number of records written; at least 1 if continued.
    """

    def __init__(
        self,
        stream: IO[str],
        name: str,
        suffix: str,
        *,
        columns: Sequence[str] = CSV_COLUMNS,
        continued: bool = False,
    ) -> None:
        self._stream = stream
        self._name = name
        self._suffix = suffix
        self._columns = columns
        self.count = int(continued)
        self._csv = TableWriter(stream) if suffix == ".csv" else None

    def write(self, record: Record) -> None:
        """Write one record.

        Raises:
            OutputError: It could not be written.
        """
        with output_errors(self._name):
            self._write(record)

    def _write(self, record: Record) -> None:
        if self._csv:
            if self.count == 0:
                self._csv.row(self._columns)
            self._csv.row([_cell(record, column) for column in self._columns])
        else:
            if self._suffix == ".json":
                self._stream.write("[\n" if self.count == 0 else ",\n")
            self._stream.write(json.dumps(record, allow_nan=False))
            if self._suffix == ".jsonl":
                self._stream.write("\n")
        self.count += 1

    def close(self) -> None:
        """End the list; the stream stays open.

        Raises:
            OutputError: It could not be written.
        """
        with output_errors(self._name):
            if self._suffix == ".json":
                self._stream.write("[]\n" if self.count == 0 else "\n]\n")
            self._stream.flush()


def _cell(record: Record, column: str) -> Any:
    model, _, key = column.rpartition(".")
    scores = scores_in(record, model)
    if key in _ENDS:
        return scores["interval"][_ENDS[key]] if "interval" in scores else ""
    value = scores.get(key, "")
    return " ".join(map(str, value)) if isinstance(value, list) else value

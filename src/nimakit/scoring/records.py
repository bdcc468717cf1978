"""Score records of images: normalising, ranking and writing them as JSON, JSON lines or CSV."""

import json
from collections.abc import Sequence
from typing import IO

from nimakit.io.atomic import output_errors
from nimakit.io.delimited import TableWriter
from nimakit.models.score import DIGITS, Record
from nimakit.stats import histogram

FILE_SUFFIXES = (".json", ".jsonl", ".csv")
CSV_COLUMNS = (
    "image_id",
    "image",
    "mean_score_prediction",
    "sd_score_prediction",
    "percentile",
    "normalized_score",
    "error",
)
"""Columns of a .csv, followed by ``predictions``."""


def add_min_max(records: Sequence[Record]) -> None:
    """Add ``normalized_score`` to each scored record: 0 for the lowest mean of the set, 1 for the highest."""
    scored = [record for record in records if "error" not in record]
    stretched = histogram.min_max([record["mean_score_prediction"] for record in scored])
    for record, value in zip(scored, stretched, strict=True):
        record["normalized_score"] = round(float(value), DIGITS)


def rank(record: Record) -> tuple[bool, float, str]:
    """Sort key, best first: by falling mean, then by image_id; errors last."""
    return "error" in record, -record.get("mean_score_prediction", 0.0), record["image_id"]


class RecordWriter:
    """Writes records one by one, so that memory does not grow with their number.

    Args:
        stream: Text stream.
        name: Name of the stream in error messages.
        suffix: ``.json`` (an array, one record per line), ``.jsonl`` or ``.csv``.
        columns: Keys that are columns of a .csv, before ``predictions``.
    """

    def __init__(
        self, stream: IO[str], name: str, suffix: str, *, columns: Sequence[str] = CSV_COLUMNS
    ) -> None:
        self._stream = stream
        self._name = name
        self._suffix = suffix
        self._columns = columns
        self._count = 0
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
            if self._count == 0:
                self._csv.row([*self._columns, "predictions"])
            predictions = " ".join(str(p) for p in record.get("predictions", ()))
            self._csv.row([*(record.get(column, "") for column in self._columns), predictions])
        else:
            if self._suffix == ".json":
                self._stream.write("[\n" if self._count == 0 else ",\n")
            self._stream.write(json.dumps(record, allow_nan=False))
            if self._suffix == ".jsonl":
                self._stream.write("\n")
        self._count += 1

    def close(self) -> None:
        """End the list; the stream stays open.

        Raises:
            OutputError: It could not be written.
        """
        with output_errors(self._name):
            if self._suffix == ".json":
                self._stream.write("[]\n" if self._count == 0 else "\n]\n")
            self._stream.flush()

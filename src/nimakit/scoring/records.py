"""Score records: what the command line, HTTP and Python give for each image, and the files they go to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from nimakit.errors import ImageError, UnwritableError
from nimakit.images.files import image_id
from nimakit.io.atomic import output_errors
from nimakit.io.delimited import TableWriter
from nimakit.models.score import _DIGITS, Record, error_record
from nimakit.progress import say
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
"""Columns of a .csv; the distribution comes last."""


def failed_record(path: Path, error: ImageError | UnwritableError) -> Record:
    """Report one image of a batch that failed, on stderr and as its record; the batch continues."""
    say(f"{path}: {error}")
    return {"image_id": image_id(path), **error_record(error)}


def add_min_max(records: Sequence[Record]) -> None:
    """Add ``normalized_score`` to each scored record: 0 for the lowest mean of the set, 1 for the highest."""
    scored = [record for record in records if "error" not in record]
    stretched = histogram.min_max([record["mean_score_prediction"] for record in scored])
    for record, value in zip(scored, stretched, strict=True):
        record["normalized_score"] = round(float(value), _DIGITS)


def rank(record: Record) -> tuple[bool, float, str]:
    """Sort key for best first: falling mean, equal ones by image_id, and errors at the end."""
    return "error" in record, -record.get("mean_score_prediction", 0.0), record["image_id"]


class RecordWriter:
    """Writes records one by one, so that a list of any length needs no memory.

    Args:
        stream: Text stream.
        name: What the stream is called in an error.
        suffix: ``.json`` (an array, a record a line), ``.jsonl`` or ``.csv``.
        columns: Keys a .csv has a column for, before ``predictions``.
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

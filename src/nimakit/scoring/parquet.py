"""Records as Parquet: one row an image, with its scores or its features."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from nimakit.errors import require_extra
from nimakit.images.measures import MEASURES
from nimakit.models.score import Record
from nimakit.scoring.records import ONLY, scores_in

if TYPE_CHECKING:
    import pyarrow as pa

_SCORES = {
    "mean": "mean_score_prediction",
    "sd": "sd_score_prediction",
    "histogram": "predictions",
    "percentile": "percentile",
    "normalized": "normalized_score",
}
"""Column -> key of the record."""
METADATA_KEY = b"nimakit"


def require() -> None:
    """Refuse early where pyarrow is not installed.

    Raises:
        MissingExtraError: It is not installed.
    """
    require_extra("parquet", "Parquet files need pyarrow.", "pyarrow.parquet")


class Rows(ABC):
    """Turns records into rows: ``id``, columns between, and ``error``.

    Args:
        columns: Those between (`pyarrow.Field`).
        metadata: Text for the file's metadata, under the key ``nimakit``.
    """

    def __init__(self, columns: "Sequence[pa.Field]", metadata: str) -> None:
        import pyarrow as pa

        self.schema: pa.Schema = pa.schema(
            [pa.field("id", pa.string()), *columns, pa.field("error", pa.string())],
            metadata={METADATA_KEY: metadata.encode()},
        )

    def table(self, records: Sequence[Record]) -> "pa.Table":
        """A table with a row for each record."""
        import pyarrow as pa

        return pa.Table.from_pylist(
            [
                {
                    "id": record.get("image", record["image_id"]),
                    **self._values(record),
                    "error": record.get("error"),
                }
                for record in records
            ],
            self.schema,
        )

    def encode(self, records: Sequence[Record]) -> bytes:
        """A Parquet file with a row for each record."""
        from pyarrow.parquet import write_table

        stream = io.BytesIO()
        write_table(self.table(records), stream)
        return stream.getvalue()

    @abstractmethod
    def _values(self, record: Record) -> Mapping[str, Any]:
        """The columns between of a record; those that are not there are null."""


class ScoreRows(Rows):
    """Turns score records into rows.

    Args:
        models: Names of the models, or `nimakit.scoring.records.ONLY`.
        measures: Whether records have technical measures.
        metadata: Text for the file's metadata, under the key ``nimakit``.
        intervals: Whether records have intervals: a column ``interval`` with low and high.
    """

    def __init__(
        self, models: Sequence[str], *, measures: bool, metadata: str, intervals: bool = False
    ) -> None:
        import pyarrow as pa

        kinds = dict.fromkeys(("histogram", "interval"), pa.list_(pa.float64()))
        self._scores = _SCORES | ({"interval": "interval"} if intervals else {})
        columns = [
            pa.field(_column(model, name), kinds.get(name, pa.float64()))
            for model in models
            for name in self._scores
        ]
        if measures:
            columns.append(pa.field("measures", pa.struct([(name, pa.float64()) for name in MEASURES])))
        self._models = models
        super().__init__(columns, metadata)

    def _values(self, record: Record) -> Mapping[str, Any]:
        row = {"measures": record.get("measures")}
        for model in self._models:
            scores = scores_in(record, model)
            row |= {_column(model, name): scores.get(key) for name, key in self._scores.items()}
        return row


class FeatureRows(Rows):
    """Turns records with ``features``, an array (D,) float32 for each column, into rows.

    Args:
        columns: Names of the columns.
        metadata: As for `Rows`.
    """

    def __init__(self, columns: Sequence[str], metadata: str) -> None:
        import pyarrow as pa

        self._columns = columns
        super().__init__([pa.field(name, pa.list_(pa.float32())) for name in columns], metadata)

    def _values(self, record: Record) -> Mapping[str, Any]:
        return dict(zip(self._columns, record.get("features", ()), strict=False))  # none of an error


def read_ids(stream: IO[bytes]) -> Iterator[str]:
    """The ids in a Parquet file that `Rows` made.

    Raises:
        ValueError: It is not one (`pyarrow.ArrowInvalid`).
    """
    from pyarrow.parquet import ParquetFile

    for batch in ParquetFile(stream).iter_batches(columns=["id"]):
        yield from batch.column(0).to_pylist()


def read_metadata(stream: IO[bytes]) -> str:
    """The text that `Rows` put into a file's metadata; empty if it has none."""
    from pyarrow.parquet import read_schema

    return ((read_schema(stream).metadata or {}).get(METADATA_KEY) or b"").decode()


def _column(model: str, name: str) -> str:
    return name if model == ONLY else f"{model}.{name}"

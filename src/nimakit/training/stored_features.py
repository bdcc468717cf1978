"""Features that `nimakit features` wrote to Parquet, in place of the photographs of a job."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.errors import UsageError
from nimakit.images.files import canonical, image_id
from nimakit.io.atomic import output_errors
from nimakit.models.encoders import Encoder
from nimakit.progress import track
from nimakit.scoring import parquet
from nimakit.scoring.feature_rows import column
from nimakit.sources.places import is_stored, opened, reason, store_of, url_of
from nimakit.stats.histogram import Float32Array, IntArray

_ROWS = 1024
"""Rows in memory together."""
_WHAT = "features"
_KEYS = ("id", "error")


class StoredFeatures:
    """Features in a .parquet file or a folder of parts, here or in a store.

    Args:
        place: Path or URL.

    Attributes:
        place: The path or URL.
        encoders: Label of each encoder -> its identity.
        views: Views of a photograph that have features.

    Raises:
        UsageError: There are none, or parts were made by different encoders.
        MissingExtraError: A package for it is not installed.
    """

    def __init__(self, place: str) -> None:
        parquet.require()
        self.place = place
        self._parts = _parts(place)
        about = [self._read_about(part) for part in self._parts]
        self.encoders: Mapping[str, Any] = about[0]["encoders"]
        self.views: Sequence[str] = about[0]["views"]
        for part, one in zip(self._parts, about, strict=True):
            if (one["encoders"], one["views"]) != (self.encoders, self.views):
                raise UsageError(
                    "All parts of a folder must have the features of the same encoders. Received:"
                    f" {part}, which differs from {self._parts[0]}"
                )

    def check(self, encoders: Sequence[Encoder], views: Sequence[str]) -> None:
        """Refuse a head on features that are not there.

        Raises:
            UsageError: An encoder or the views of mirror images are missing.
        """
        for encoder in encoders:
            known = self.encoders.get(encoder.label)
            if known is None:
                why = f"only those of {', '.join(self.encoders)}"
            elif known != json.loads(encoder.identity):
                why = "those of another file, or of images prepared in another way"
            else:
                continue
            raise UsageError(
                f"The features must be those of the encoders in the config. Received: {self.place}, without"
                f" those of {encoder.label} ({why}); compute them with nimakit features --config-file"
            )
        if not set(views) <= set(self.views):
            raise UsageError(
                f"random_flip needs the features of mirror images. Received: {self.place}, without them;"
                " compute them with --mirrored, or set random_flip to false"
            )

    def find(self, wanted: Iterable[str]) -> tuple[set[str], int]:
        """Which image_ids have features.

        Args:
            wanted: Canonical image_ids.

        Returns:
            Those that do, and the number of rows of other photographs.
        """
        names = set(wanted)
        found: set[str] = set()
        others = 0
        for batch in self._batches(_KEYS):
            for key, error in zip(*(batch.column(i).to_pylist() for i in range(2)), strict=True):
                name = _name(key, names)
                if name is None:
                    others += 1
                elif error is None:
                    found.add(name)
        return found, others

    @contextmanager
    def load(
        self, image_ids: Sequence[str], encoders: Sequence[Encoder], views: Sequence[str], folder: Path
    ) -> Iterator[list[Float32Array]]:
        """The features of N photographs, in a temporary file, of which the system keeps in memory what fits.

        Args:
            image_ids: N different names that `find` found.
            encoders: Those of the head.
            views: `nimakit.features.VIEWS`, or only the first.
            folder: Where the file is until the context ends.

        Yields:
            For each encoder (views, N, D) float32, mapped from the file.

        Raises:
            UsageError: The features cannot be read, or some are missing.
            OutputError: The disk is full.
        """
        path = folder / ".features"
        self.check(encoders, views)
        try:
            with output_errors(str(path)):
                blocks = _map(path, len(image_ids), [encoder.dimension for encoder in encoders], len(views))
                names = [column(encoder.label, view) for encoder in encoders for view in views]
                arrays = [block[view] for block in blocks for view in range(len(views))]
                self._fill(dict(zip(image_ids, range(len(image_ids)), strict=True)), names, arrays)
            yield blocks
        finally:
            path.unlink(missing_ok=True)

    def _fill(self, rows: Mapping[str, int], names: Sequence[str], arrays: Sequence[Float32Array]) -> None:
        filled = np.zeros(len(rows), bool)
        for batch in self._batches([*_KEYS, *names]):
            good = batch.filter(batch.column(1).is_null())
            keys = (_name(key, rows) for key in good.column(0).to_pylist())
            places = np.array([-1 if key is None else rows[key] for key in keys], np.int64)
            chosen = _first(places, filled)
            for number, array in enumerate(arrays, start=2):
                values = good.column(number).flatten().to_numpy()
                array[places[chosen]] = values.reshape(len(good), -1)[chosen]
            filled[places[chosen]] = True
        if not filled.all():
            missing = next(name for name, row in rows.items() if not filled[row])
            raise UsageError(
                f"The features of a job must stay where they are. Received: {self.place}, without {missing}"
            )

    def _batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of all parts (`pyarrow.RecordBatch`)."""
        label = "reading parts" if len(columns) > len(_KEYS) else "reading ids"
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        for part in track(self._parts, len(self._parts), label):
            with opened(part, _WHAT) as stream:
                try:
                    yield from ParquetFile(stream).iter_batches(_ROWS, columns=list(columns))
                except (ArrowException, OSError) as error:
                    raise _unreadable(part, error) from error

    def _read_about(self, part: str) -> dict[str, Any]:
        from pyarrow import ArrowException

        with opened(part, _WHAT) as stream:
            try:
                about = json.loads(parquet.read_metadata(stream) or "null")
            except (ArrowException, OSError, ValueError) as error:
                raise _unreadable(part, error) from error
        if not isinstance(about, dict) or not {"encoders", "views"} <= about.keys():
            raise UsageError(
                f"Features must be those that nimakit features wrote with --output. Received: {part}"
            )
        return about


def _first(places: IntArray, filled: "np.ndarray[Any, np.dtype[np.bool_]]") -> IntArray:
    """Which rows of a batch to take: those that are wanted, and of an image_id only the first."""
    _, first = np.unique(places, return_index=True)
    return np.array([row for row in first if places[row] >= 0 and not filled[places[row]]], np.int64)


def _map(path: Path, count: int, dimensions: Sequence[int], views: int) -> list[Float32Array]:
    """Arrays (views, count, D) float32 of a new file."""
    blocks: list[Float32Array] = []
    offset = 0
    for dimension in dimensions:
        shape = (views, count, dimension)
        mode = "r+" if offset else "w+"
        block: Float32Array = np.memmap(path, np.float32, mode, offset, shape)  # type: ignore[call-overload]
        blocks.append(block)
        offset += block.nbytes
    return blocks


def _name(key: str, wanted: Iterable[str]) -> str | None:
    """The image_id that a row belongs to: its id, or the file name in it without its suffix."""
    return next((name for name in (canonical(key), image_id(key)) if name in wanted), None)


def _parts(place: str) -> list[str]:
    """The Parquet files of a place, in order.

    Raises:
        UsageError: There are none.
    """
    if place.lower().endswith(".parquet"):
        return [place]
    try:
        if is_stored(place):
            store, path = store_of(place)
            store.invalidate_cache()
            found = [url_of(place, name) for name in store.ls(path.rstrip("/"), detail=False)]
        else:
            found = [str(path) for path in Path(place).iterdir()]
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"The features must be readable. Received: {place} ({reason(error)})") from error
    parts = sorted(name for name in found if name.lower().endswith(".parquet"))
    if not parts:
        raise UsageError(f"Features must be a .parquet file, or a folder of them. Received: {place}")
    return parts


def _unreadable(part: str, error: Exception) -> UsageError:
    return UsageError(f"Features must be a Parquet file. Received: {part} ({reason(error)})")

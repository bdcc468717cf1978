"""Features of sources of any size as Parquet, in memory that does not grow, resumed where they stopped."""

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from nimakit.errors import ImageError, UsageError
from nimakit.features import VIEWS, stream
from nimakit.images.photo import MAX_PIXELS, Preprocessing
from nimakit.models.encoders import Encoder
from nimakit.models.engine import Scorer
from nimakit.models.preparation import Augmentation, Views
from nimakit.models.score import Record, error_record
from nimakit.models.session import Stop
from nimakit.scoring import parquet
from nimakit.scoring.bulk import Cluster, Outcome, Task
from nimakit.scoring.items import score_entries
from nimakit.sources import Entry, Reader
from nimakit.stats.histogram import Float32Array

_AT_ONCE = 1024
"""Files of this machine that are looked up in the store together."""

Blocks = tuple[Float32Array, ...]
"""For each encoder (views, D) float32."""


def column(label: str, view: str) -> str:
    """Name of the column of a view: that of the encoder, with the view unless it is the original.

    >>> column("aesthetic@224x224", "mirrored")
    'aesthetic@224x224 mirrored'
    """
    return label if view == VIEWS[0] else f"{label} {view}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureLayout:
    """The layout of rows with features.

    Attributes:
        encoders: Label of each encoder -> everything on which its features depend (`Encoder.identity`).
        views: Views of a photograph that have features.
        settings: What else must be the same when a run is resumed.
    """

    encoders: Mapping[str, Mapping[str, Any]]
    views: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, encoders: Sequence[Encoder], views: Sequence[str], **settings: Any) -> "FeatureLayout":
        """The layout for encoders.

        Raises:
            UsageError: Two of them have the same label.
        """
        labels = [encoder.label for encoder in encoders]
        repeated = next((label for label in labels if labels.count(label) > 1), None)
        if repeated:
            raise UsageError(
                f"Each encoder must have a name and size of its own, which name the column. Received:"
                f" {repeated} twice"
            )
        identities = [json.loads(encoder.identity) for encoder in encoders]
        return cls(encoders=dict(zip(labels, identities, strict=True)), views=views, settings=settings)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What must be the same when a run is resumed."""
        return {"encoders": self.encoders, "views": list(self.views), **self.settings}

    @property
    def columns(self) -> Sequence[str]:
        """Columns of features, the views of an encoder one after the other."""
        return [column(label, view) for label in self.encoders for view in self.views]

    @property
    def metadata(self) -> str:
        """The identity as JSON."""
        return json.dumps(self.identity, sort_keys=True)

    def rows(self) -> parquet.Rows:
        """What makes Parquet of records."""
        return parquet.FeatureRows(self.columns, self.metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureRun:
    """Settings of computing features of a source.

    Attributes:
        task: The images, and a .parquet file or a folder of Parquet parts, here or in a store.
        encoders: At least one.
        views: `nimakit.features.VIEWS`, or only the first.
        max_pixels: Largest width times height of an image.
        cluster: Where to compute, through Ray; None for this process.
    """

    task: Task
    encoders: Sequence[Encoder]
    views: Sequence[str] = VIEWS[:1]
    max_pixels: int = MAX_PIXELS
    cluster: Cluster | None = None

    def compute(self) -> Outcome:
        """Compute the features of the images that are not finished, and write them.

        Raises:
            UsageError: The source cannot be read, or the output must not be written.
            OutputError: The output could not be written; what was written before is complete.
        """
        layout = FeatureLayout.of(
            self.encoders, self.views, max_pixels=self.max_pixels, shard=str(self.task.shard)
        )
        return self.task.run(layout, self._records, "computing features")

    @property
    def _tta(self) -> Augmentation:
        return "none" if len(self.views) == 1 else "flips"

    def _records(self, entries: Iterable[Entry], stack: ExitStack) -> Iterator[Record]:
        encoders = _Encoders(self.encoders)
        if self.cluster is None:
            reader = stack.enter_context(closing(Reader()))
            scorer = Scorer(encoders, tta=self._tta, max_pixels=self.max_pixels)
            results = stack.enter_context(closing(self._results(scorer, reader, entries)))
            return (to_record(*result) for result in results)
        from nimakit.scoring import distributed

        stack.enter_context(distributed.connected(self.cluster))
        settings = distributed.Settings(
            tta=self._tta, measures=False, max_pixels=self.max_pixels, workers=self.cluster.cpus
        )
        return distributed.score(entries, encoders, to_record, self.cluster, settings)

    def _results(
        self, scorer: Scorer[Blocks], reader: Reader, entries: Iterable[Entry]
    ) -> Generator[tuple[Entry, Blocks | ImageError]]:
        """Features of each entry, in order; those of files of this machine come from and go to the store."""
        for is_local, some in groupby(entries, _is_local):
            if not is_local:
                yield from score_entries(scorer, reader, some)
                continue
            while part := list(islice(some, _AT_ONCE)):
                paths = [Path(entry.place) for entry in part]
                found = stream(self.encoders, paths, views=self.views, max_pixels=self.max_pixels)
                with closing(found):
                    for entry, result in zip(part, found, strict=True):
                        yield entry, result.blocks


class _Encoders:
    """What a `Scorer` runs: encoders, whose features take the place of scores."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._encoders = encoders

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        return tuple(dict.fromkeys(encoder.preprocessing for encoder in self._encoders))

    @property
    def device(self) -> str:
        return "GPU" if any(encoder.device == "GPU" for encoder in self._encoders) else "CPU"

    def score_prepared(self, prepared: Views, views: int = 1, stop: Stop | None = None) -> list[Blocks]:
        """For each image its features."""
        blocks = []
        for encoder in self._encoders:
            vectors = encoder.encode(prepared[encoder.preprocessing], stop)
            blocks.append(vectors.reshape(-1, views, vectors.shape[1]))
        return list(zip(*blocks, strict=True))


def _is_local(entry: Entry) -> bool:
    return entry.content is None and "://" not in entry.place


def to_record(entry: Entry, blocks: Blocks | ImageError) -> Record:
    """The record of a row: ``features``, a vector (D,) for each column; or the error."""
    record: Record = {"image_id": entry.image_id}
    if entry.image is not None:
        record["image"] = entry.image
    if isinstance(blocks, ImageError):
        return record | error_record(blocks)
    return record | {"features": [vector for block in blocks for vector in block]}

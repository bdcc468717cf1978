"""Features of sources of any size as Parquet, in memory that does not grow, resumed where they stopped."""

import json
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
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
from nimakit.models.preparation import Views
from nimakit.models.score import Record, error_record
from nimakit.models.session import Stop
from nimakit.progress import say, track
from nimakit.scoring import outputs, parquet
from nimakit.scoring.bulk import Outcome
from nimakit.scoring.growing import open_growing
from nimakit.scoring.items import score_entries
from nimakit.scoring.outputs import Output
from nimakit.scoring.shards import Rows, Shard, open_rows
from nimakit.sources import Entry, Reader, Source
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
    """Settings of a run over a source.

    Attributes:
        source: The images.
        encoders: At least one.
        output: A .parquet file or a folder of Parquet parts, here or in a store.
        views: `nimakit.features.VIEWS`, or only the first.
        max_pixels: Largest width times height of an image.
        shard: The part of the source to work on.
        resume: Whether to go on with an output that exists.
    """

    source: Source
    encoders: Sequence[Encoder]
    output: str
    views: Sequence[str] = VIEWS[:1]
    max_pixels: int = MAX_PIXELS
    shard: Shard = field(default_factory=Shard)
    resume: bool = False

    def compute(self) -> Outcome:
        """Compute the features of the images that are not finished, and write them.

        Raises:
            UsageError: The source cannot be read, or the output must not be written.
            OutputError: The output could not be written; what was written before is complete.
        """
        started = time.monotonic()
        outcome = Outcome()
        layout = FeatureLayout.of(
            self.encoders, self.views, max_pixels=self.max_pixels, shard=str(self.shard)
        )
        with ExitStack() as stack:
            rows = stack.enter_context(open_rows(self.shard))
            output = self._open(stack, layout, rows)
            reader = stack.enter_context(closing(Reader()))
            results = stack.enter_context(closing(self._results(reader, rows.choose(self.source))))
            count = self.source.count()
            total = None if count is None else count // self.shard.count
            for entry, blocks in track(results, total, "computing features"):
                record = _to_record(entry, blocks)
                outcome.count(record)
                output.write(record)
        outcome.finished, outcome.repeated = rows.finished, rows.repeated
        outcome.seconds = time.monotonic() - started
        if rows.repeated:
            say(f"left out because an earlier row has the same id: {rows.repeated}")
        return outcome

    def _open(self, stack: ExitStack, layout: FeatureLayout, rows: Rows) -> Output:
        if outputs.can_grow(self.output):
            return stack.enter_context(
                open_growing(self.output, layout, self.shard, resume=self.resume, finish=rows.finish)
            )
        return stack.enter_context(outputs.open_whole(self.output, layout))

    def _results(
        self, reader: Reader, entries: Iterable[Entry]
    ) -> Generator[tuple[Entry, Blocks | ImageError]]:
        """Features of each entry, in order; those of files of this machine come from and go to the store."""
        scorer = Scorer(
            _Encoders(self.encoders),
            tta="none" if len(self.views) == 1 else "flips",
            max_pixels=self.max_pixels,
        )
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


def _to_record(entry: Entry, blocks: Blocks | ImageError) -> Record:
    record: Record = {"image_id": entry.image_id}
    if entry.image is not None:
        record["image"] = entry.image
    if isinstance(blocks, ImageError):
        return record | error_record(blocks)
    return record | {"features": [vector for block in blocks for vector in block]}

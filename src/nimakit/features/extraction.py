"""Features of many photographs by several encoders: from the store, or computed with one decode each."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nimakit.errors import ImageError, UsageError
from nimakit.features.store import Digest, File, Store
from nimakit.images.files import image_id
from nimakit.images.formats import FORMATS
from nimakit.images.photo import MAX_PIXELS, PixelArray, Preprocessing
from nimakit.io.threads import in_batches
from nimakit.models.encoders import Encoder
from nimakit.models.preparation import Preparation, Prepared
from nimakit.models.session import BATCH_SIZES, Stop
from nimakit.progress import track
from nimakit.stats.histogram import Float32Array

VIEWS = ("original", "mirrored")
"""Views of a photograph that have features of their own."""

_PART = 1024
"""Photographs that are looked up at once; their features are in memory together."""
_KEPT_AT_ONCE = 256
"""Photographs whose features are written in one transaction; a kill loses those of at most so many."""

Admit = Callable[[Path], AbstractContextManager[object]]


class Encoding(Protocol):
    """A network that gives vectors for each image: an `nimakit.models.encoders.Encoder`, or another."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared."""

    @property
    def identities(self) -> tuple[str, ...]:
        """For each of its vectors, everything on which it depends other than the photograph's content."""

    @property
    def device(self) -> str:
        """Either "GPU" or "CPU"."""

    def encode_parts(self, pixels: PixelArray, stop: Stop | None = None) -> list[Float32Array]:
        """For each of `identities` (N, D) float32, for (N, height, width, 3) uint8."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """One photograph.

    Attributes:
        path: The file.
        blocks: For each vector of each encoder (views, D) float32; or the error that prevented them.
        is_computed: Whether anything was computed, rather than taken from the store.
    """

    path: Path
    blocks: tuple[Float32Array, ...] | ImageError
    is_computed: bool


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Features of N photographs.

    Attributes:
        paths: The photographs that have features, in the order given.
        blocks: For each encoder (views, N, D) float32.
        views: Names of the views.
        errors: Photographs left out -> the reason.
        computed: Number of photographs for which anything was computed; the store had the others.
    """

    paths: tuple[Path, ...]
    blocks: tuple[Float32Array, ...]
    views: tuple[str, ...]
    errors: dict[Path, ImageError]
    computed: int

    @property
    def ids(self) -> tuple[str, ...]:
        """The image_id of each photograph."""
        return tuple(map(image_id, self.paths))

    @property
    def vectors(self) -> Float32Array:
        """(N, D) float32: the features of the photographs as they are, of all encoders side by side."""
        return np.concatenate([block[0] for block in self.blocks], axis=1)


def extract(
    encoders: Sequence[Encoder],
    paths: Sequence[Path],
    *,
    views: Sequence[str] = VIEWS[:1],
    max_pixels: int = MAX_PIXELS,
) -> FeatureTable:
    """The features of photographs, in memory.

    Args:
        encoders: At least one; each with its input size, as `Encoder.at` sets it.
        paths: Image files.
        views: `VIEWS`, or only the first.
        max_pixels: Largest width times height of an image.

    Raises:
        UsageError: No encoder, or an unknown view.
        ModelError: An encoder fails.

    Example:
        >>> from nimakit.models.encoders import load_encoder
        >>> table = extract([load_encoder("aesthetic")], [Path("data/samples/portrait.jpg")])
        >>> table.vectors.shape, table.errors
        ((1, 1024), {})
    """
    rows: list[tuple[Float32Array, ...]] = []
    found: list[Path] = []
    errors: dict[Path, ImageError] = {}
    computed = 0
    results = stream(encoders, paths, views=views, max_pixels=max_pixels)
    for result in track(results, len(paths), "computing features"):
        if isinstance(result.blocks, ImageError):
            errors[result.path] = result.blocks
        else:
            found.append(result.path)
            rows.append(result.blocks)
            computed += result.is_computed
    blocks = tuple(
        np.stack([row[place] for row in rows], axis=1)
        if rows
        else np.zeros((len(views), 0, encoder.dimension), np.float32)
        for place, encoder in enumerate(encoders)
    )
    return FeatureTable(tuple(found), blocks, tuple(views), errors, computed)


def stream(
    encoders: Sequence[Encoding],
    paths: Sequence[Path],
    *,
    views: Sequence[str] = VIEWS[:1],
    max_pixels: int = MAX_PIXELS,
    admit: Admit = nullcontext,
) -> Generator[Extracted]:
    """The features of photographs one by one, in memory that does not grow with their number.

    Whatever is computed is in the store when the iterator ends or is closed.

    Args:
        encoders: See `extract`.
        paths: See `extract`.
        views: See `extract`.
        max_pixels: See `extract`.
        admit: Makes what a thread enters before it decodes a photograph, and leaves afterwards.

    Yields:
        A result for each path, in order.

    Raises:
        As `extract`.
    """
    if not encoders:
        raise UsageError("Features need at least one encoder. Received: none")
    if tuple(views) not in (VIEWS[:1], VIEWS):
        raise UsageError(f"Views of a photograph are {VIEWS[:1]} or {VIEWS}. Received: {views}")
    with Store() as store:
        for start in range(0, len(paths), _PART):
            part = _Part(store, encoders, tuple(views), max_pixels, admit)
            yield from part.results(paths[start : start + _PART])


_Vectors = dict[str, Float32Array]
"""Identity of a vector -> (views, D) float32."""
_Prepared = tuple[File, Prepared]


class _Part:
    """Photographs that are looked up together; what the store lacks is computed."""

    def __init__(
        self,
        store: Store,
        encoders: Sequence[Encoding],
        views: tuple[str, ...],
        max_pixels: int,
        admit: Admit,
    ) -> None:
        self._store = store
        self._encoders = encoders
        self._views = views
        self._identities = [identity for encoder in encoders for identity in encoder.identities]
        self._max_pixels = max_pixels
        self._admit = admit
        self._known: dict[Digest, _Vectors] = {}

    def results(self, paths: Sequence[Path]) -> Iterator[Extracted]:
        """A result for each path, in order."""
        files = self._store.identify(paths)
        unique: dict[Digest, File] = {}
        for file in files.values():
            if isinstance(file, File):
                unique.setdefault(file.content, file)
        self._known = self._look_up(list(unique))
        missing = [file for content, file in unique.items() if self._lacking(content)]
        computed: dict[Digest, _Vectors | ImageError] = {}
        with closing(self._compute(missing)) as computing:
            for path in paths:
                file = files[path]
                if isinstance(file, ImageError):
                    yield Extracted(path, file, is_computed=False)
                    continue
                new: _Vectors | ImageError = {}
                is_computed = bool(self._lacking(file.content))
                if is_computed:
                    if file.content not in computed:
                        computed[file.content] = next(computing)
                    new = computed[file.content]
                if not isinstance(new, ImageError):
                    vectors = self._known[file.content] | new
                    blocks = tuple(vectors[identity] for identity in self._identities)
                    yield Extracted(path, blocks, is_computed)
                else:
                    yield Extracted(path, new, is_computed=False)

    def _lacking(self, content: Digest) -> list[Encoding]:
        """The encoders of which the store lacks a vector of a photograph."""
        known = self._known[content]
        return [encoder for encoder in self._encoders if not known.keys() >= {*encoder.identities}]

    def _look_up(self, contents: Sequence[Digest]) -> dict[Digest, _Vectors]:
        """The vectors in the store, where it has those of all views."""
        found: dict[Digest, _Vectors] = {content: {} for content in contents}
        for identity in dict.fromkeys(self._identities):
            by_view = [self._store.read(_block(identity, view), contents) for view in self._views]
            for content in contents:
                views = [vectors[content] for vectors in by_view if content in vectors]
                if len(views) == len(self._views):
                    found[content][identity] = np.stack(views)
        return found

    def _compute(self, files: Sequence[File]) -> Generator[_Vectors | ImageError]:
        """What the store lacks, for each file in order; it is kept."""
        stop = Stop()
        results = in_batches(
            files,
            self._prepare,
            lambda batch: self._encode(batch, stop),
            batch_size=max(BATCH_SIZES[encoder.device] for encoder in self._encoders),
            cancel=stop.set,
        )
        new: dict[Digest, _Vectors] = {}
        try:
            for file, result in zip(files, results, strict=True):
                if not isinstance(result, ImageError) and file.is_unchanged:
                    new[file.content] = result
                if len(new) >= _KEPT_AT_ONCE:
                    self._keep(new)
                yield result
        finally:  # also of an interrupted run
            results.close()
            self._keep(new)

    def _prepare(self, file: File) -> _Prepared | ImageError:
        wanted = {encoder.preprocessing for encoder in self._lacking(file.content)}
        preparation = Preparation(
            preprocessings=tuple(wanted),
            tta="none" if len(self._views) == 1 else "flips",
            max_pixels=self._max_pixels,
            formats=FORMATS,
        )
        with self._admit(file.path):
            prepared = preparation.make(file.path)
        return prepared if isinstance(prepared, ImageError) else (file, prepared)

    def _encode(self, batch: Sequence[_Prepared | ImageError], stop: Stop) -> list[_Vectors | ImageError]:
        """What the store lacks, for each prepared photograph; errors are passed through."""
        results: list[_Vectors | ImageError] = [x if isinstance(x, ImageError) else {} for x in batch]
        for encoder in self._encoders:
            rows = [
                (result, item[1].views[encoder.preprocessing])
                for result, item in zip(results, batch, strict=True)
                if not isinstance(result, ImageError)
                and not isinstance(item, ImageError)
                and encoder in self._lacking(item[0].content)
            ]
            if not rows:
                continue
            vectors = encoder.encode_parts(np.concatenate([pixels for _, pixels in rows]), stop)
            for identity, found in zip(encoder.identities, vectors, strict=True):
                by_photo = found.reshape(len(rows), len(self._views), -1)
                for (result, _), views in zip(rows, by_photo, strict=True):
                    result[identity] = views
        return results

    def _keep(self, new: dict[Digest, _Vectors]) -> None:
        """Write vectors to the store, and forget them."""
        for identity in dict.fromkeys(self._identities):
            for number, view in enumerate(self._views):
                rows = {
                    content: vectors[identity][number]
                    for content, vectors in new.items()
                    if identity in vectors
                }
                if rows:
                    self._store.write(_block(identity, view), rows)
        new.clear()


def _block(identity: str, view: str) -> str:
    return f"{identity} {view}"

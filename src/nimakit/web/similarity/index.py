"""An exact, in-memory nearest-neighbor index over the model features of a collection's pictures."""

import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.features import Float32Array, features_of
from nimakit.web.db.tables import OK, Collection, Image

if TYPE_CHECKING:
    import faiss

_MIN_SECONDS_BETWEEN_READS = 5.0
_CHUNK = 2000
_PRIME = 1_000_003
_MAX_CACHED = 4
"""Collections whose index stays in memory: 200 MB each at 100,000 pictures."""

_PAIRS = 2000
"""Random pairs from which the distribution of similarities in a collection is estimated."""


class Index:
    """Unit-length features of a collection's pictures by one model; thread-safe.

    Every search compares with every picture. Features are stored in half precision, which halves the memory
    and changes a similarity by less than 0.001.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = -_MIN_SECONDS_BETWEEN_READS
        self._clear(None)

    def _clear(self, model: tuple[str | None, tuple[float, ...]] | None) -> None:
        self._model = model
        self._features: faiss.IndexIDMap2 | None = None
        self._versions: dict[int, int] = {}
        self._state: tuple[object, ...] | None = None
        self._sample: Float32Array | None = None

    def __len__(self) -> int:
        return len(self._versions)

    def refresh(self, session: Session, collection: Collection) -> None:
        """Add, replace and remove pictures as the database has changed; at most every few seconds.

        Args:
            session: From `Database.read`.
            collection: The collection to index.
        """
        with self._lock:
            # The probe changes when a model file is replaced by another of the same name.
            model = (collection.model, tuple(collection.model_probe or ()))
            if model != self._model:
                self._clear(model)
            elif time.monotonic() - self._read_at < _MIN_SECONDS_BETWEEN_READS:
                return
            # Features are written and deleted with the score; its table is much faster to read.
            shown = (Image.collection_id == collection.id, Image.state == OK, Image.position.is_not(None))
            sums = (func.count(), func.sum(Image.id), func.sum(Image.mtime_ns % _PRIME))
            state = tuple(session.execute(select(*sums).where(*shown)).one())
            if state != self._state:
                rows = session.execute(select(Image.id, Image.mtime_ns).where(*shown))
                versions = {image: version for image, version in rows}  # noqa: C416 - rows are no plain tuples
                self._remove([key for key, version in self._versions.items() if versions.get(key) != version])
                new = [image for image in versions if image not in self._versions]
                for start in range(0, len(new), _CHUNK):
                    self._add(features_of(session, new[start : start + _CHUNK]), versions)
                if len(self) == len(versions):
                    self._state = state
            self._read_at = time.monotonic()

    def _remove(self, images: list[int]) -> None:
        if images and self._features is not None:
            self._features.remove_ids(np.array(images, np.int64))  # type: ignore[arg-type]
            for image in images:
                del self._versions[image]
            self._sample = None

    def _add(self, features: Mapping[int, Float32Array], versions: Mapping[int, int]) -> None:
        """Add pictures, by id; features of another size than the first are ignored."""
        if not features:
            return
        if self._features is None:
            self._features = _empty(len(next(iter(features.values()))))
        images = [image for image, vector in features.items() if len(vector) == self._features.d]
        if images:
            vectors = _unit(np.stack([features[image] for image in images]))
            _use_one_thread()
            self._features.add_with_ids(vectors, np.array(images, np.int64))
            self._versions |= {image: versions[image] for image in images}
            self._sample = None

    def images(self) -> NDArray[np.int64]:
        """(N,) int64 ids of the indexed pictures, in no particular order."""
        with self._lock:
            return np.fromiter(self._versions, np.int64, len(self))

    def vector(self, image: int) -> Float32Array | None:
        """(D,) float32 features of length 1; None for a picture that is not indexed yet."""
        with self._lock:
            if self._features is None or image not in self._versions:
                return None
            return np.asarray(self._features.reconstruct(int(image)), np.float32)

    def nearest(self, features: Float32Array, count: int) -> dict[int, float]:
        """Find the most similar pictures.

        Args:
            features: (D,), of any length.
            count: Maximum number of results.

        Returns:
            Cosine similarity, -1 to 1, by picture id; the most similar first.
        """
        with self._lock:
            if self._features is None or self._features.d != len(features) or not len(self):
                return {}
            _use_one_thread()
            [scores], [images] = self._features.search(_unit(features[None]), min(count, len(self)))
            return {int(image): min(float(score), 1.0) for image, score in zip(images, scores, strict=True)}

    def share_below(self, similarity: float) -> float:
        """Estimate the share of the collection's pairs that are less similar than this, 0 to 1."""
        with self._lock:
            if self._sample is None:
                self._sample = self._sample_pairs()
            return float(np.searchsorted(self._sample, similarity) / max(len(self._sample), 1))

    def _sample_pairs(self) -> Float32Array:
        """Similarities of random pairs, ascending; the same pairs as long as the pictures stay the same."""
        images = np.fromiter(self._versions, np.int64, len(self))
        if len(images) < 2 or self._features is None:
            return np.zeros(0, np.float32)
        random = np.random.default_rng(0)
        first = random.integers(len(images), size=_PAIRS)
        second = (first + random.integers(1, len(images), size=_PAIRS)) % len(images)
        left, right = (self._features.reconstruct_batch(images[chosen]) for chosen in (first, second))
        return np.sort(np.einsum("ij,ij->i", left, right)).astype(np.float32)


class Indexes:
    """The index of each collection, built on first use; the most recently used ones stay in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cached = lru_cache(_MAX_CACHED)(lambda _collection_id: Index())

    def of(self, session: Session, collection: Collection) -> Index:
        """The index of a collection, at most a few seconds old.

        Args:
            session: From `Database.read`.
            collection: The collection.
        """
        with self._lock:  # else two threads might build one each
            index = self._cached(collection.id)
        index.refresh(session, collection)
        return index


def _unit(vectors: Float32Array) -> Float32Array:
    """(N, D) vectors scaled to length 1; a zero vector stays zero, and is similar to nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), np.float32)


def _use_one_thread() -> None:
    import faiss

    # One core suffices for a search; threads that wait for each other on busy cores take 100 times as long.
    # The setting is per thread.
    faiss.omp_set_num_threads(1)


def _empty(dimensions: int) -> "faiss.IndexIDMap2":
    import faiss  # slow to import, and few visitors open the page

    half = faiss.ScalarQuantizer.QT_fp16
    return faiss.IndexIDMap2(faiss.IndexScalarQuantizer(dimensions, half, faiss.METRIC_INNER_PRODUCT))

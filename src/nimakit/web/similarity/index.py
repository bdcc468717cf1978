"""Which pictures a model sees much the same in: an exact index of a collection's features, in memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.features import Float32Array, features_of
from nimakit.web.db.tables import OK, Collection, Image

if TYPE_CHECKING:
    import faiss

_SECONDS_FRESH = 5.0
_CHUNK = 2000
_PRIME = 1_000_003
_MOST_KEPT = 4
"""Collections whose index stays in memory: 200 MB each at 100,000 pictures."""

_MOST_GONE = 1000
"""Places of pictures that are gone or changed; with more of them the index is made anew."""

_PAIR = 2
_PAIRS = 2000
"""Pairs drawn to say how alike the pictures of a collection usually are."""


class Neighbour(NamedTuple):
    """A picture found.

    Attributes:
        image: Its id.
        similarity: Cosine of the angle between its features and those asked for, -1 to 1.
    """

    image: int
    similarity: float


class Index:
    """The features of a collection's pictures; any thread may ask, and they take turns.

    The search looks at every picture. Half precision takes half the memory, and moves a similarity by less
    than a thousandth.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table = _Table(None)
        self._read_at = -_SECONDS_FRESH

    def __len__(self) -> int:
        return len(self._table.places)

    def refresh(self, session: Session, collection: Collection) -> None:
        """Take in what was computed, changed or lost since; at most every few seconds.

        Args:
            session: From `Database.read`.
            collection: Whose pictures.
        """
        with self._lock:
            # A file may be replaced under its name: what it makes of a fixed picture tells.
            model = (collection.model, tuple(collection.model_probe or ()))
            if model != self._table.model:
                self._table = _Table(model)
            elif time.monotonic() - self._read_at < _SECONDS_FRESH:
                return
            # Features come and go with the score, whose table is read in a moment.
            shown = (Image.collection_id == collection.id, Image.state == OK, Image.position.is_not(None))
            sums = (func.count(), func.sum(Image.id), func.sum(Image.mtime_ns % _PRIME))
            state = tuple(session.execute(select(*sums).where(*shown)).one())
            if state == self._table.state:
                self._read_at = time.monotonic()
                return
            rows = session.execute(select(Image.id, Image.mtime_ns).where(*shown))
            there = {image: version for image, version in rows}  # noqa: C416 - a row is not typed as a pair
            self._table.drop_all_but(there)
            if self._table.gone > _MOST_GONE:
                self._table = _Table(model)
            new = [image for image in there if image not in self._table.places]
            for start in range(0, len(new), _CHUNK):
                self._table.add(features_of(session, new[start : start + _CHUNK]), there)
            self._read_at = time.monotonic()
            if len(self) == len(there):
                self._table.state = state

    def images(self) -> NDArray[np.int64]:
        """(N,) ids of the pictures it has, in no order."""
        with self._lock:
            return np.fromiter(self._table.places, np.int64, len(self))

    def vector(self, image: int) -> Float32Array | None:
        """(D,) float32 of length 1, the features of a picture; None where it has none yet."""
        with self._lock:
            return self._table.vector(image)

    def nearest(self, features: Float32Array, count: int) -> list[Neighbour]:
        """The most similar pictures, the most similar first.

        Args:
            features: (D,), of any length.
            count: How many; there may be fewer.
        """
        with self._lock:
            return self._table.nearest(features, count)

    def share_below(self, similarity: float) -> float:
        """Share of the collection's pairs that are less alike than that, 0 to 1, by a sample of them."""
        with self._lock:
            usual = self._table.usual()
        return float(np.searchsorted(usual, similarity) / max(len(usual), 1))


class _Table:
    """Features of pictures by one model.

    Attributes:
        model: Its name, and what it makes of a fixed picture; None before the first.
        places: Where the features of a picture stand.
        state: Sums over the pictures it was last complete with: others when one comes, changes or goes.
    """

    def __init__(self, model: tuple[str | None, tuple[float, ...]] | None) -> None:
        self.model = model
        self.places: dict[int, int] = {}
        self.state: tuple[object, ...] | None = None
        self._index: faiss.IndexScalarQuantizer | None = None
        self._images: list[int] = []
        self._versions: dict[int, int] = {}
        self._usual: Float32Array | None = None

    @property
    def gone(self) -> int:
        """Places that no picture has any more."""
        return len(self._images) - len(self.places)

    def drop_all_but(self, there: Mapping[int, int]) -> None:
        """Leave pictures out that are gone, or have become another version."""
        for image in [one for one in self.places if there.get(one) != self._versions[one]]:
            del self.places[image]
            self._usual = None

    def add(self, seen: Mapping[int, Float32Array], versions: Mapping[int, int]) -> None:
        """Take pictures in: (D,) features and version by id."""
        if not seen:
            return
        if self._index is None:
            self._index = _empty(len(next(iter(seen.values()))))
        images = [image for image, vector in seen.items() if len(vector) == self._index.d]
        if not images:
            return
        _alone()
        self._index.add(_unit(np.stack([seen[image] for image in images])))
        for image in images:
            self.places[image] = len(self._images)
            self._versions[image] = versions[image]
            self._images.append(image)
        self._usual = None

    def vector(self, image: int) -> Float32Array | None:
        """As `Index.vector`."""
        place = self.places.get(image)
        if place is None or self._index is None:
            return None
        return np.asarray(self._index.reconstruct(place), np.float32)

    def nearest(self, features: Float32Array, count: int) -> list[Neighbour]:
        """As `Index.nearest`."""
        if self._index is None or self._index.d != len(features):
            return []
        wanted = min(count + self.gone, len(self._images))
        _alone()
        [scores], [places] = self._index.search(_unit(features[None]), wanted)
        found = [
            Neighbour(self._images[place], min(float(score), 1.0))
            for score, place in zip(scores, places, strict=True)
            if self.places.get(self._images[place]) == place
        ]
        return found[:count]

    def usual(self) -> Float32Array:
        """Similarities of pairs drawn at random, ascending; the same ones as long as the pictures are."""
        if self._usual is None:
            self._usual = self._draw()
        return self._usual

    def _draw(self) -> Float32Array:
        places = np.fromiter(self.places.values(), np.int64, len(self.places))
        if len(places) < _PAIR or self._index is None:
            return np.zeros(0, np.float32)
        random = np.random.default_rng(0)
        first = random.integers(len(places), size=_PAIRS)
        second = (first + random.integers(1, len(places), size=_PAIRS)) % len(places)
        left, right = (self._index.reconstruct_batch(places[chosen]) for chosen in (first, second))
        return np.sort(np.einsum("ij,ij->i", left, right)).astype(np.float32)


class Indexes:
    """The index of each collection, made when somebody first asks for it; the last asked for are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Index] = OrderedDict()

    def of(self, session: Session, collection: Collection) -> Index:
        """A collection's index, a few seconds old at most.

        Args:
            session: From `Database.read`.
            collection: Whose pictures.
        """
        with self._lock:
            index = self._kept.setdefault(collection.id, Index())
            self._kept.move_to_end(collection.id)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        index.refresh(session, collection)
        return index


def _unit(vectors: Float32Array) -> Float32Array:
    """(N, D) vectors of length 1; one that has no length stays all zero, and is like nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), np.float32)


def _alone() -> None:
    """Let this thread work by itself."""
    import faiss

    # A search is work for one core, and threads that wait for each other on busy ones take 100 times as long.
    faiss.omp_set_num_threads(1)


def _empty(dimensions: int) -> "faiss.IndexScalarQuantizer":
    import faiss  # takes a while to load, and few open the page

    return faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)

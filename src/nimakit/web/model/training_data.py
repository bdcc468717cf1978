"""What a collection's own model is learned from: features of the rated pictures, and their ratings."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.errors import ImageError, ModelError
from nimakit.features import stream
from nimakit.images.photo import decoded_bytes
from nimakit.labels.ratings import Ratings
from nimakit.models.encoders import Encoder, load_encoder
from nimakit.models.taste import is_same_base
from nimakit.progress import say
from nimakit.serving.admission import Admission
from nimakit.stats.histogram import Float32Array, IntArray
from nimakit.web.db.database import Database
from nimakit.web.db.features import features_of
from nimakit.web.db.queries import is_counted
from nimakit.web.db.tables import FIRST, OK, Collection, Erasure, Image, Rating

_MOST_PICTURES = 10_000
"""Pictures that are learned from; more change little, and their features would take 100 MB."""
_AT_ONCE = 16
"""Pictures whose features an encoder computes in a turn."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingData:
    """Rated pictures and their ratings.

    Attributes:
        images: (N,) ids of the pictures.
        paths: N files.
        features: (N, D) float32.
        ratings: Of these N pictures, in this order.
    """

    images: IntArray
    paths: list[Path]
    features: Float32Array
    ratings: Ratings


class FeatureSource:
    """Features of rated pictures: those stored with predicted scores, or those of the collection's encoder.

    An encoder's are computed a few pictures at a time, kept in the store that all commands share, and in
    memory.

    Args:
        decoding: Limits the memory of pictures being decoded.
        max_pixels: Largest width times height of a picture.
    """

    def __init__(self, decoding: Admission, max_pixels: int) -> None:
        self._decoding = decoding
        self._max_pixels = max_pixels
        self._encoders: dict[str, Encoder] = {}
        self._known: dict[tuple[str, int, int], Float32Array | None] = {}

    def encoder(self, collection: Collection) -> Encoder:
        """The encoder whose features are learned from.

        Raises:
            ModelError: It cannot be used, or the collection has none.
            DownloadError: Its weights are neither cached nor reachable.
        """
        name = collection.encoder or collection.model
        if name is None:
            raise ModelError("Features are needed to learn from. Set a model or an encoder in Settings.")
        if Path(name).suffix.lower() == ".json":
            raise ModelError(
                "An ensemble has several encoders, of which no single file can be made. Set one encoder in"
                f" Settings. Received: {name}"
            )
        if name not in self._encoders:
            self._encoders[name] = load_encoder(name, notify=say)
        return self._encoders[name]

    def basis(self, collection: Collection) -> dict[str, Any]:
        """What identifies the features; empty if there are none yet.

        Raises:
            As `encoder`.
        """
        if collection.encoder:
            return {"encoder": self.encoder(collection).identity}
        return {"probe": (collection.model_probe or [])[1:]} if collection.model_probe else {}

    def compute(self, database: Database, collection: Collection) -> bool:
        """Compute features of some more rated pictures; whether there may be more.

        Raises:
            As `encoder`.
        """
        if not collection.encoder:
            return False
        encoder = self.encoder(collection)
        with database.read() as session:
            rated = _rated(session, collection)
        missing = [
            (key, Path(collection.folder, path))
            for key, path in rated
            if (encoder.identity, *key) not in self._known
        ][:_AT_ONCE]
        paths = [path for _, path in missing]
        results = stream([encoder], paths, max_pixels=self._max_pixels, admit=self._admit)
        for (key, _), result in zip(missing, results, strict=True):
            # A picture that cannot be decoded is reported where scores are predicted, or where it is shown.
            vector = None if isinstance(result.blocks, ImageError) else result.blocks[0][0]
            self._known[(encoder.identity, *key)] = vector
        return bool(missing)

    def _admit(self, path: Path) -> AbstractContextManager[None]:
        """Wait until there is memory to decode a picture."""
        return self._decoding.admit(decoded_bytes(path, self._max_pixels), timeout=None)

    def of(self, session: Session, collection: Collection) -> dict[int, tuple[Path, Float32Array]]:
        """Picture id -> file and features, of rated pictures that have any."""
        rated = _rated(session, collection)
        if not collection.encoder:
            stored = features_of(session, [key for (key, _), _ in rated])
            return {
                key: (Path(collection.folder, path), stored[key]) for (key, _), path in rated if key in stored
            }
        identity = self.encoder(collection).identity
        found = {
            key: (Path(collection.folder, path), self._known.get((identity, key, version)))
            for (key, version), path in rated
        }
        return {key: (path, vector) for key, (path, vector) in found.items() if vector is not None}


def is_same_basis(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two bases stand for the same features; probes may differ a little by the hardware."""
    probe, other = first.get("probe"), second.get("probe")
    if probe and other:
        return len(probe) == len(other) and is_same_base(probe, other)
    return first == second


def state_of(session: Session, collection: Collection) -> tuple[int, str]:
    """The number of ratings that count, and a text that changes with them."""
    wanted = select(func.count(), func.max(Rating.event_id), func.count(Image.position)).join(
        Image, Image.id == Rating.image_id
    )
    count, latest, scored = session.execute(wanted.where(*_counted(collection))).one()
    usable = count if collection.encoder else scored
    erased = select(func.count()).select_from(Erasure).where(Erasure.collection_id == collection.id)
    # SQLite may give the numbers of erased events again.
    erasures = [number] if (number := session.scalar(erased)) else []
    return usable, json.dumps([usable, latest, *erasures])


def read(database: Database, source: FeatureSource, collection: Collection) -> TrainingData:
    """Read the rated pictures that have features.

    Raises:
        StorageError: The database cannot be read.
        As `FeatureSource.encoder`.
    """
    with database.read() as session:
        found = source.of(session, collection)
        keys = np.array(sorted(found), np.int64)
        wanted = (
            select(Rating.image_id, Rating.rater_id, Rating.value)
            .join(Image, Image.id == Rating.image_id)
            .where(*_counted(collection))
            .order_by(Rating.event_id)
        )
        rows = np.array([tuple(row) for row in session.execute(wanted)], np.float64).reshape(-1, 3)
    rows = rows[np.isin(rows[:, 0], keys)]
    images, image = np.unique(rows[:, 0].astype(np.int64), return_inverse=True)
    users, user = np.unique(rows[:, 1].astype(np.int64), return_inverse=True)
    vectors = [found[key][1] for key in images.tolist()]
    return TrainingData(
        images=images,
        paths=[found[key][0] for key in images.tolist()],
        features=np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        ratings=Ratings(
            image_ids=tuple(map(str, images.tolist())),
            user_ids=tuple(map(str, users.tolist())),
            image=image,
            user=user,
            rating=rows[:, 2],
            time=np.full(len(rows), np.nan),
        ),
    )


def _counted(collection: Collection) -> list[Any]:
    """Conditions for ratings that are learned from."""
    return [
        Rating.collection_id == collection.id,
        Rating.round == FIRST,
        Rating.value.is_not(None),
        Image.state == OK,
        is_counted(collection, Rating),
    ]


def _rated(session: Session, collection: Collection) -> Sequence[tuple[tuple[int, int], str]]:
    """Id and time of change, and path, of rated pictures; those with most ratings first."""
    wanted = (
        select(Image.id, Image.mtime_ns, Image.path)
        .where(Image.collection_id == collection.id, Image.state == OK, Image.count > 0)
        .order_by(Image.count.desc(), Image.id)
        .limit(_MOST_PICTURES)
    )
    return [((key, version), path) for key, version, path in session.execute(wanted)]

"""Group the pictures of culls in the background, and store the groups."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from nimakit.culling.frames import LIKENESS_ENCODER, Frame, Reading, read_frames
from nimakit.culling.groups import group_frames
from nimakit.errors import NimakitError
from nimakit.features.extraction import Encoding
from nimakit.models.encoders import load_encoder
from nimakit.models.engine import Model
from nimakit.progress import say
from nimakit.web.db.database import Database
from nimakit.web.db.features import lock_collection
from nimakit.web.db.tables import CULL, OK, Collection, GroupedImage, Grouping, Image
from nimakit.wording import many

_READ_AT_ONCE = 64
_RETRY_SECONDS = 600.0
"""Pause after a failure, such as an encoder that cannot be downloaded."""
_PRIME = 1_000_003


class Grouper:
    """Groups the pictures of a cull once all are scored, and again whenever there are others.

    What a rater decided belongs to the pictures, so new groups move no decision.

    Args:
        database: The database.
        model_of: The loaded model of a collection, or None.
        max_pixels: Largest width times height of a picture.
        encoder: Gives the features by which likeness is judged; by default `LIKENESS_ENCODER`.
    """

    def __init__(
        self,
        database: Database,
        model_of: Callable[[Collection], Model | None],
        max_pixels: int,
        encoder: Encoding | None = None,
    ) -> None:
        self._database = database
        self._model_of = model_of
        self._max_pixels = max_pixels
        self._encoder = encoder
        self._read: dict[int, dict[tuple[int, int], Frame | None]] = {}
        self._unscored: dict[int, int] = {}
        self._retry_at: dict[int, float] = {}

    def advance(self, collection: Collection) -> bool:
        """Read some more pictures, or group those that were read.

        Args:
            collection: Any collection; nothing is done unless it is a cull whose model is loaded.

        Returns:
            Whether there may be more to do.

        Raises:
            StorageError: The database cannot be used.
        """
        model = self._model_of(collection) if collection.experiment == CULL else None
        if model is None or self._is_being_scored(collection):
            return False
        if time.monotonic() < self._retry_at.get(collection.id, 0.0):
            return False
        with self._database.read() as session:
            stamp = stamp_of(session, collection)
            known = session.get(Grouping, collection.id)
            if known is not None and known.stamp == stamp:
                self._read.pop(collection.id, None)
                return False
            rows = session.execute(
                select(Image.id, Image.mtime_ns, Image.path).where(*_grouped(collection)).order_by(Image.path)
            ).all()
        read = self._read.setdefault(collection.id, {})
        root = Path(os.path.realpath(collection.folder))
        paths = {(key, mtime_ns): root / path for key, mtime_ns, path in rows}
        new = [key for key in paths if key not in read][:_READ_AT_ONCE]
        if new:
            try:
                read.update(self._frames(model, {key: paths[key] for key in new}))
            except NimakitError as error:
                say(f"{collection.name}: pictures cannot be grouped. {error}")
                self._retry_at[collection.id] = time.monotonic() + _RETRY_SECONDS
                self._store(collection, [], note=f"Pictures cannot be grouped: {error}")
                return False
            if len(new) == _READ_AT_ONCE:
                return True
        frames = {key[0]: frame for key in paths if (frame := read[key]) is not None}
        self._group(collection, stamp, frames, len(paths) - len(frames))
        return True

    def _is_being_scored(self, collection: Collection) -> bool:
        """Whether there were more pictures without a score when this was asked last."""
        own = Image.collection_id == collection.id, Image.state == OK, Image.position.is_(None)
        with self._database.read() as session:
            unscored = session.scalar(select(func.count()).where(*own)) or 0
        before, self._unscored[collection.id] = self._unscored.get(collection.id), unscored
        return unscored > 0 and before != unscored

    def _frames(
        self, model: Model, paths: dict[tuple[int, int], Path]
    ) -> dict[tuple[int, int], Frame | None]:
        """The frames of pictures; None where one cannot be read."""
        self._encoder = self._encoder or load_encoder(LIKENESS_ENCODER, notify=say)
        there = [path for path in paths.values() if path.exists()]
        reading = (
            read_frames(there, model=model, encoder=self._encoder, max_pixels=self._max_pixels)
            if there
            else Reading(frames=(), failures={})
        )
        of_path = {frame.path: frame for frame in reading.frames}
        return {key: of_path.get(path) for key, path in paths.items()}

    def _group(self, collection: Collection, stamp: list[int], frames: dict[int, Frame], failed: int) -> None:
        grouping = group_frames([*frames.values()])
        keys = [*frames]
        rows = [
            {
                "image_id": keys[index],
                "collection_id": collection.id,
                "number": number,
                "place": place,
                "kind": group.kind,
                "scene": group.scene,
                "measures": asdict(frames[keys[index]].measures),
            }
            for number, group in enumerate(grouping.groups)
            for place, index in enumerate(group.frames)
        ]
        note = f"{many(failed, 'picture')} could not be read to be grouped." if failed else ""
        self._store(collection, stamp, rows, basis=grouping.basis, note=note)

    def _store(
        self,
        collection: Collection,
        stamp: list[int],
        rows: list[dict[str, Any]] | None = None,
        *,
        basis: str = "",
        note: str,
    ) -> None:
        """Replace the groups; None for the rows keeps the earlier ones."""
        with self._database.write() as session:
            if lock_collection(session, collection) is None:
                return
            if rows is not None:
                session.execute(delete(GroupedImage).where(GroupedImage.collection_id == collection.id))
                if rows:
                    session.execute(insert(GroupedImage), rows)
            session.merge(Grouping(collection_id=collection.id, stamp=stamp, basis=basis, note=note))


def stamp_of(session: Session, collection: Collection) -> list[int]:
    """Numbers that change when there are other pictures to group, or one has changed."""
    sums = (func.count(), func.sum(Image.id), func.sum(Image.mtime_ns % _PRIME))
    return [int(value or 0) for value in session.execute(select(*sums).where(*_grouped(collection))).one()]


def _grouped(collection: Collection) -> tuple[Any, ...]:
    """The conditions for a picture to be grouped: it can be shown, and has a score."""
    return Image.collection_id == collection.id, Image.state == OK, Image.position.is_not(None)

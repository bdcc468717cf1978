"""Frames: the photographs of a shoot with all that groups and ranking need, read once and kept."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nimakit.culling.appearance import VERSION, Appearance, look
from nimakit.errors import ImageError, machine_fault
from nimakit.features import stream
from nimakit.features.extraction import Encoding
from nimakit.features.scores import score_files
from nimakit.features.store import Digest, File, Store
from nimakit.images.exif import Shot, read_shot
from nimakit.images.files import image_id
from nimakit.images.formats import RAW_SUFFIXES
from nimakit.images.measures import Measures
from nimakit.images.opening import open_image
from nimakit.images.photo import MAX_PIXELS, decoding, open_photo, unread
from nimakit.io.threads import in_threads
from nimakit.models.encoders import load_encoder
from nimakit.models.engine import Model
from nimakit.models.score import Score
from nimakit.progress import say, track
from nimakit.stats.histogram import Float32Array

LIKENESS_ENCODER = "efficientnet-lite0"
"""Tells frames of one burst from other photographs; the features of NIMA models do not: docs/groups.md."""

_PART = 128
"""Photographs that are read together."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """A photograph of a shoot.

    Attributes:
        path: The file that is shown and scored: the JPEG where the camera also wrote a RAW file.
        image_id: File name without its last suffix.
        content: SHA-256 of the file.
        features: (D,) float32, by which likeness is judged.
        appearance: What was measured on its pixels.
        raw: The RAW file of the same shot next to `path`; None if there is none, or if `path` is one.
        shot: How it was taken, from its EXIF.
        score: Mean score of the model, on the scale of its bins; None without a model.
        taste: The score that one person would give; None without a taste.
    """

    path: Path
    image_id: str
    content: Digest
    features: Float32Array
    appearance: Appearance
    raw: Path | None = None
    shot: Shot = field(default_factory=Shot)
    score: float | None = None
    taste: float | None = None

    @property
    def measures(self) -> Measures:
        """Technical measures."""
        return self.appearance.measures

    @property
    def taken(self) -> float | None:
        """When it was taken, in seconds since 1970; a time without a zone is read as UTC."""
        taken = self.shot.taken
        if taken is None:
            return None
        # Subtracted, because timestamp() refuses years that a wrong clock gives.
        return ((taken if taken.tzinfo else taken.replace(tzinfo=UTC)) - _EPOCH).total_seconds()

    @property
    def camera(self) -> str | None:
        """Maker, model and serial number of the camera; None if unknown."""
        return " ".join(filter(None, (self.shot.make, self.shot.model, self.shot.serial))) or None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The photographs of a shoot.

    Attributes:
        frames: Those that could be read, in the order given.
        failures: The others -> the reason.
    """

    frames: tuple[Frame, ...]
    failures: dict[Path, ImageError]


def read_frames(
    paths: Sequence[Path],
    *,
    model: Model,
    taste: Model | None = None,
    encoder: Encoding | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Reading:
    """Read the photographs of a shoot, with progress on stderr.

    What takes long is kept by content in the store of features, so that a second run only looks it up.

    Args:
        paths: Image files, from `nimakit.images.files.find_images`, which leaves out the RAW file next to
            another picture of the same name; it becomes `Frame.raw`.
        model: Gives the scores.
        taste: The model with one person's taste (`Model.for_user`).
        encoder: Gives the features; `LIKENESS_ENCODER` by default.
        max_pixels: Largest width times height of an image.

    Raises:
        ModelError: The model or the encoder fails.
        DownloadError: The encoder's public weights are neither cached nor reachable.
    """
    reader = _Reader(model, taste, encoder or load_encoder(LIKENESS_ENCODER, notify=say), max_pixels)
    frames: list[Frame] = []
    failures: dict[Path, ImageError] = {}
    results = zip(paths, reader.read(paths), strict=True)
    for path, result in track(results, len(paths), "reading"):
        if isinstance(result, Frame):
            frames.append(result)
        else:
            failures[path] = result
    return Reading(frames=tuple(frames), failures=failures)


class _Reader:
    """Reads photographs, a part at a time."""

    def __init__(self, model: Model, taste: Model | None, encoder: Encoding, max_pixels: int) -> None:
        self._model = model
        self._taste = taste
        self._encoder = encoder
        self._max_pixels = max_pixels

    def read(self, paths: Sequence[Path]) -> Iterator[Frame | ImageError]:
        """A frame for each path, in order; or the error."""
        raws = _raw_files(paths)
        with Store() as store:
            for start in range(0, len(paths), _PART):
                yield from self._part(paths[start : start + _PART], store, raws)

    def _part(
        self, paths: Sequence[Path], store: Store, raws: dict[Path, Path]
    ) -> Iterator[Frame | ImageError]:
        seen = _appearances(paths, store, self._max_pixels)
        good = [path for path, found in seen.items() if not isinstance(found, ImageError)]
        scores, tastes = self._scores(self._model, good), self._scores(self._taste, good)
        vectors = self._vectors(good)
        for path in paths:
            found, score, taste = seen[path], scores.get(path), tastes.get(path)
            vector = vectors.get(path)
            errors = [part for part in (found, score, taste, vector) if isinstance(part, ImageError)]
            if errors or isinstance(found, ImageError) or not isinstance(vector, np.ndarray):
                yield errors[0]
                continue
            file, appearance, shot = found
            yield Frame(
                path=path,
                image_id=image_id(path),
                content=file.content,
                features=vector,
                appearance=appearance,
                raw=raws.get(path),
                shot=shot,
                score=score.mean if isinstance(score, Score) else None,
                taste=taste.mean if isinstance(taste, Score) else None,
            )

    def _scores(self, model: Model | None, paths: Sequence[Path]) -> dict[Path, Score | ImageError]:
        if model is None:
            return {}
        return dict(zip(paths, score_files(model, paths, max_pixels=self._max_pixels), strict=True))

    def _vectors(self, paths: Sequence[Path]) -> dict[Path, Float32Array | ImageError]:
        found = stream([self._encoder], paths, max_pixels=self._max_pixels)
        return {
            one.path: one.blocks if isinstance(one.blocks, ImageError) else one.blocks[0][0] for one in found
        }


_Seen = tuple[File, Appearance, Shot]


def _appearances(paths: Sequence[Path], store: Store, max_pixels: int) -> dict[Path, _Seen | ImageError]:
    """What the pixels and the EXIF of photographs say, from the store where it knows."""
    files = store.identify(paths)
    known = store.read(VERSION, [file.content for file in files.values() if isinstance(file, File)])
    new: dict[Digest, Float32Array] = {}

    def one(path: Path) -> _Seen | ImageError:
        file = files[path]
        if isinstance(file, ImageError):
            return file
        try:
            vector = known.get(file.content)
            if vector is None:
                vector = look(open_photo(path, max_pixels=max_pixels)).to_vector()
                if file.is_unchanged:
                    new[file.content] = vector
            return file, Appearance.from_vector(vector), _shot(path)
        except ImageError as error:
            return error
        except MemoryError as error:
            return unread(machine_fault(error))

    found = dict(zip(paths, in_threads(one, paths), strict=True))
    store.write(VERSION, new)
    return found


def _shot(path: Path) -> Shot:
    with decoding(path), open_image(path) as image:
        return read_shot(image)


def _raw_files(paths: Sequence[Path]) -> dict[Path, Path]:
    """For each photograph that is no RAW file, the RAW file of the same name in its folder, if any."""
    found: dict[Path, Path] = {}
    raw_of: dict[Path, dict[str, Path]] = {}
    for path in paths:
        if path.name.lower().endswith(RAW_SUFFIXES):
            continue
        folder = path.parent
        if folder not in raw_of:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.name.lower().endswith(RAW_SUFFIXES))
            raw_of[folder] = {image_id(name): folder / name for name in reversed(names)}
        if raw := raw_of[folder].get(image_id(path)):
            found[path] = raw
    return found

"""Perceptual fingerprints: what stays of a picture that is resized, re-encoded, greyed or mirrored."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import ImageError, OutputError, machine_fault, require_extra
from nimakit.images.photo import MAX_PIXELS, ImageInput, open_photo, unread
from nimakit.io.cache import writable_cache
from nimakit.io.threads import in_threads
from nimakit.progress import say, track

_INNER, _CORNER = 0.04, 0.08
_VIEWS = (
    (0.0, 0.0, 1.0, 1.0),
    (_INNER, _INNER, 1 - _INNER, 1 - _INNER),
    (_CORNER, _CORNER, 1.0, 1.0),
    (0.0, _CORNER, 1 - _CORNER, 1.0),
    (_CORNER, 0.0, 1.0, 1 - _CORNER),
    (0.0, 0.0, 1 - _CORNER, 1 - _CORNER),
)
"""Left, top, right and bottom of each view, as shares of the sides. The first is the whole picture: it comes
close to one of the other views of a picture that it was cropped from."""

VIEWS = len(_VIEWS)
SIDE = 32
"""Side of the edge map, in bits."""

FINGERPRINT = np.dtype(
    [
        ("hash", "<u8", (VIEWS,)),
        ("mirror_hash", "<u8"),
        ("edges", "<u8", (VIEWS, SIDE * SIDE // 64)),
        ("contrast", "<f4"),
    ]
)
"""What is kept of one picture:

- hash: pHash of each view, signs of the lowest frequencies, by the library ImageHash.
- mirror_hash: pHash of the mirror image of the whole.
- edges: of each view, where 32x32 pixels are brighter than their surroundings, by the sign of a difference of
  Gaussians (Marr and Hildreth, "Theory of edge detection", 1980; as a hash: Zauner, "Implementation and
  benchmarking of perceptual image hash functions", 2010).
- contrast: standard deviation of the grey levels, 0 to 127.5.
"""

Fingerprints = NDArray[np.void]

_GREY_SIDE = 2 * SIDE
_DECODED_SIDE = 2 * _GREY_SIDE
_CACHE_FILE = "fingerprints-v1.sqlite"
"""Another version for every change of what a fingerprint is."""

_ROWS_KEPT_AT_ONCE = 500
_LOCK_SECONDS = 10.0


def require() -> None:
    """Raise MissingExtraError if ImageHash, or SciPy that it needs, is not installed."""
    require_extra("data", "Comparing pictures needs ImageHash and SciPy.", "imagehash", "scipy.ndimage")


def fingerprint(source: ImageInput, *, max_pixels: int = MAX_PIXELS) -> np.void:
    """The fingerprint of one picture.

    Args:
        source: As for `nimakit.images.photo.open_photo`.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        One `FINGERPRINT`.

    Raises:
        ImageError: As `nimakit.images.photo.open_photo`.
    """
    import imagehash
    from PIL import Image, ImageOps
    from scipy.ndimage import gaussian_filter

    photo = open_photo(source, max_pixels=max_pixels, at_least=_DECODED_SIDE)
    width, height = photo.size
    found: np.void = np.zeros(1, FINGERPRINT)[0]
    for view, (left, top, right, bottom) in enumerate(_VIEWS):
        box = (width * left, height * top, width * right, height * bottom)
        grey = photo.resize((_GREY_SIDE, _GREY_SIDE), "box", box).convert("L")
        small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
        found["hash"][view] = int(str(imagehash.phash(grey)), 16)
        found["edges"][view] = np.packbits(gaussian_filter(small, 1) > gaussian_filter(small, 2)).view("<u8")
        if view == 0:
            found["mirror_hash"] = int(str(imagehash.phash(ImageOps.mirror(grey))), 16)
            found["contrast"] = small.std()
    return found


def mirrored(edges: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The edge maps of the mirror images.

    Args:
        edges: (N, 16) uint64, the field ``edges`` of one view.

    Returns:
        (N, 16) uint64.
    """
    bits = np.unpackbits(edges.view(np.uint8), axis=1).reshape(len(edges), SIDE, SIDE)
    return np.packbits(bits[..., ::-1], axis=2).reshape(len(edges), SIDE * SIDE // 8).view("<u8")


def fingerprint_files(paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS) -> list[np.void | ImageError]:
    """Fingerprints of many files, on all cores; those of an earlier run are taken from the cache.

    Args:
        paths: N image files.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        N times a `FINGERPRINT`, or the error of a file that has none.
    """

    def one(path: Path) -> tuple[Path, np.void | ImageError]:
        try:
            return path, fingerprint(path, max_pixels=max_pixels)
        except ImageError as error:
            return path, error
        except MemoryError as error:
            return path, unread(machine_fault(error))

    if not paths:
        return []
    with _Cache() as cache:
        found: dict[Path, np.void | ImageError] = {}
        stamps = {path: f"{_stamp(path)} {max_pixels}" for path in paths}
        for path, stamp in stamps.items():
            known = cache.get(path, stamp)
            if known is not None:
                found[path] = known
        wanted = [path for path in stamps if path not in found]
        for path, result in track(in_threads(one, wanted), len(wanted), "comparing"):
            found[path] = result
            if not isinstance(result, ImageError):
                cache.put(path, stamps[path], result)
    return [found[path] for path in paths]


def _stamp(path: Path) -> str:
    """Tells versions of a file apart; empty where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


class _Cache:
    """Fingerprints of earlier runs, by path, size and time of change; empty where none can be kept."""

    def __init__(self) -> None:
        self._new: list[tuple[bytes, str, bytes]] = []
        self._database = _open(":memory:")
        try:
            self._database = _open(writable_cache() / _CACHE_FILE)
        except (sqlite3.Error, OutputError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        say(f"fingerprints are not kept for the next run: {error}")
        self._database.close()
        self._database = _open(":memory:")

    def get(self, path: Path, stamp: str) -> np.void | None:
        """The fingerprint of that version of the file; None where none is kept."""
        query = "SELECT fingerprint FROM fingerprints WHERE path = ? AND stamp = ?"
        try:
            row: Any = self._database.execute(query, (_key(path), stamp)).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return np.frombuffer(row[0], FINGERPRINT)[0] if row and len(row[0]) == FINGERPRINT.itemsize else None

    def put(self, path: Path, stamp: str, found: np.void) -> None:
        """Keep a fingerprint; it reaches the disk within a few hundred."""
        self._new.append((_key(path), stamp, found.tobytes()))
        if len(self._new) >= _ROWS_KEPT_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)", self._new)
        except sqlite3.Error as error:
            self._give_up(error)
        self._new.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._database.close()


def _open(file: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=_LOCK_SECONDS)
    try:
        database.execute(
            "CREATE TABLE IF NOT EXISTS fingerprints (path BLOB PRIMARY KEY, stamp TEXT, fingerprint BLOB)"
        )
    except sqlite3.Error:
        database.close()
        raise
    return database


def _key(path: Path) -> bytes:
    """The path as bytes: names of files need not be text."""
    return os.fsencode(path.absolute())

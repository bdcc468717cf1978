"""Compute and cache perceptual fingerprints, which hardly change when a picture is resized or re-encoded."""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

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
"""Left, top, right and bottom of each view, as shares of the sides. The first is the whole picture, which is
similar to one of the other views of a picture that it was cropped from."""

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
"""The fingerprint of a picture:

- hash: pHash of each view: signs of the lowest frequencies, by the library ImageHash.
- mirror_hash: pHash of the mirror image of the whole.
- edges: edge map of each view: whether each of 32x32 pixels is brighter than its surroundings, by the sign
  of a difference of Gaussians (Marr and Hildreth, "Theory of edge detection", 1980; as a hash: Zauner,
  "Implementation and benchmarking of perceptual image hash functions", 2010).
- contrast: standard deviation of the grey levels, 0 to 127.5.
"""

Fingerprints = NDArray[np.void]

_GREY_SIDE = 2 * SIDE
_DECODED_SIDE = 2 * _GREY_SIDE
_CACHE_FILE = "fingerprints-v1.sqlite"
"""Change the version whenever fingerprints change."""

_TABLE = "CREATE TABLE IF NOT EXISTS fingerprints (path BLOB PRIMARY KEY, stamp TEXT, fingerprint BLOB)"
_ROWS_PER_TRANSACTION = 500
_LOCK_SECONDS = 10.0


def require() -> None:
    """Raise MissingExtraError if ImageHash, or SciPy that it needs, is not installed."""
    require_extra("data", "Comparing pictures needs ImageHash and SciPy.", "imagehash", "scipy.ndimage")


def fingerprint(source: ImageInput, *, max_pixels: int = MAX_PIXELS) -> np.void:
    """Compute the fingerprint of a picture.

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


def attempt(source: ImageInput, *, max_pixels: int = MAX_PIXELS) -> np.void | ImageError:
    """As `fingerprint`, with the error in place of the fingerprint if there is none."""
    try:
        return fingerprint(source, max_pixels=max_pixels)
    except ImageError as error:
        return error
    except MemoryError as error:
        return unread(machine_fault(error))


def mirrored(edges: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mirror edge maps.

    Args:
        edges: (N, 16) uint64, field ``edges`` of one view.

    Returns:
        (N, 16) uint64.
    """
    bits = np.unpackbits(edges.view(np.uint8), axis=1).reshape(len(edges), SIDE, SIDE)
    return np.packbits(bits[..., ::-1], axis=2).reshape(len(edges), SIDE * SIDE // 8).view("<u8")


def fingerprint_files(paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS) -> list[np.void | ImageError]:
    """Fingerprints of many files, computed on all cores or taken from the cache.

    Args:
        paths: N image files.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        For each file a `FINGERPRINT`, or the error that prevented it.
    """
    if not paths:
        return []
    stamps = {path: f"{_stamp(path)} {max_pixels}" for path in paths}
    cache = _Cache()
    found: dict[Path, np.void | ImageError] = {**cache.load(stamps)}
    missing = [path for path in stamps if path not in found]
    computed = in_threads(lambda path: (path, attempt(path, max_pixels=max_pixels)), missing)
    try:
        for path, result in track(computed, len(missing), "comparing"):
            found[path] = result
            if not isinstance(result, ImageError):
                cache.add(path, stamps[path], result)
    finally:  # also of an interrupted run
        cache.save()
    return [found[path] for path in paths]


def _stamp(path: Path) -> str:
    """Size and time of change of a file; empty if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


class _Cache:
    """Fingerprints of earlier runs, by path, size and time of change; runs also work without it."""

    def __init__(self) -> None:
        self._new: list[tuple[bytes, str, bytes]] = []
        self._is_usable = True

    def load(self, stamps: Mapping[Path, str]) -> dict[Path, np.void]:
        """Fingerprints of those files that have not changed."""
        found: dict[Path, np.void] = {}
        query = "SELECT fingerprint FROM fingerprints WHERE path = ? AND stamp = ?"

        def read(database: sqlite3.Connection) -> None:
            for path, stamp in stamps.items():
                row = database.execute(query, (_key(path), stamp)).fetchone()
                if row and len(row[0]) == FINGERPRINT.itemsize:
                    found[path] = np.frombuffer(row[0], FINGERPRINT)[0]

        self._run(read)
        return found

    def add(self, path: Path, stamp: str, found: np.void) -> None:
        """Add a fingerprint; every few hundred are saved."""
        self._new.append((_key(path), stamp, found.tobytes()))
        if len(self._new) >= _ROWS_PER_TRANSACTION:
            self.save()

    def save(self) -> None:
        """Save the fingerprints added."""
        statement = "INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)"
        self._run(lambda database: database.executemany(statement, self._new))
        self._new.clear()

    def _run(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Run one transaction, or none after one has failed."""
        if not self._is_usable:
            return
        try:
            file = writable_cache() / _CACHE_FILE
            with closing(sqlite3.connect(file, timeout=_LOCK_SECONDS)) as database, database:
                database.execute(_TABLE)
                action(database)
        except (sqlite3.Error, OutputError) as error:
            self._is_usable = False
            say(f"fingerprints are not kept for the next run: {error}")


def _key(path: Path) -> bytes:
    """The absolute path as bytes, because file names need not be text."""
    return os.fsencode(path.absolute())

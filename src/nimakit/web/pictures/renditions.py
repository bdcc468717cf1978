"""Pictures at the sizes browsers need: the file itself, or a cached smaller copy."""

import hashlib
import io
import os
import secrets
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import ImageError, ImageMissingError, machine_fault
from nimakit.images.exif import Shot, read_shot
from nimakit.images.formats import identify
from nimakit.images.opening import open_image
from nimakit.images.photo import Photo, decoded_bytes, decoding, open_photo, unread
from nimakit.serving.admission import Admission
from nimakit.web.pictures.inventory import is_inside

THUMBNAIL = 480
SIDES = (THUMBNAIL, 1280, 2560)
"""Longer sides of smaller copies, in pixels."""

_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
}
"""Media types of the formats that all browsers show; others are always converted."""

_LARGEST_FILE = 4_000_000
_QUALITY = 90
_CACHE_BYTES = 2 << 30
_KEEP = 0.8
_SECONDS_TO_WAIT = 20.0
"""Longest wait for memory to decode a picture: a browser asks for six pictures at once."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture ready to be sent.

    Attributes:
        source: A file, or its content if there was no room to cache it.
        media_type: Media type, such as ``image/jpeg``.
        version: Changes when the picture changes.
    """

    source: Path | bytes
    media_type: str
    version: str


class Renditions:
    """Opens pictures, and caches smaller copies on disk, evicting the least recently used.

    Args:
        folder: Folder of the copies; created if missing.
        decoding: Admits pictures to be decoded, by the memory they need.
        max_pixels: Largest width times height of a picture.
        limit: Most bytes of all copies.
    """

    def __init__(
        self, folder: Path, decoding: Admission, max_pixels: int, *, limit: int = _CACHE_BYTES
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._decoding = decoding
        self._max_pixels = max_pixels
        self._bytes: int | None = None
        self._unscaled: set[str] = set()

    def find(self, root: Path, path: str, side: int | None = None) -> Rendition:
        """Open a picture at a size.

        Args:
            root: The collection's folder, links resolved.
            path: Path of the picture below it.
            side: Longest side, one of `SIDES`; None for full size.

        Raises:
            ImageMissingError: There is no such file inside the folder.
            ImageError: It cannot be read or decoded, or has too many pixels.
            ImageUnreadError: This machine failed, which says nothing about the picture.
            BusyError: There was no memory in time, because other pictures are being decoded.
        """
        file, status = _locate(root, path)
        version = _version(file, status)
        name = f"{version}-{side or 'full'}"
        copy = self._folder / version[:2] / f"{name}.jpg"
        if _is_cached(copy):
            return Rendition(copy, "image/jpeg", version)
        media_type = _media_type(file)
        if media_type and (side is None or name in self._unscaled):
            return Rendition(file, media_type, version)
        with self._decoding.admit(decoded_bytes(file, self._max_pixels), _SECONDS_TO_WAIT):
            if _is_cached(copy):  # another request made it meanwhile
                return Rendition(copy, "image/jpeg", version)
            size, profile = _header(file)
            if media_type and side and max(size) <= side and status.st_size <= _LARGEST_FILE:
                open_photo(file, max_pixels=self._max_pixels)  # raises for a truncated picture
                self._unscaled.add(name)
                return Rendition(file, media_type, version)
            photo = open_photo(file, max_pixels=self._max_pixels, at_least=side)
            return Rendition(self._cache(copy, _encode(photo, side, profile)), "image/jpeg", version)

    def forget(self, file: Path) -> None:
        """Delete the copies of a picture that is about to be deleted."""
        with suppress(OSError):
            file = Path(os.path.realpath(file))
            version = _version(file, file.stat())
            for copy in (self._folder / version[:2]).glob(f"{version}-*.jpg"):
                copy.unlink(missing_ok=True)

    @staticmethod
    def shot(root: Path, path: str) -> Shot:
        """How a picture was taken.

        Args:
            root: As for `find`.
            path: As for `find`.

        Raises:
            ImageError: It cannot be read.
        """
        file, _ = _locate(root, path)
        with decoding(file), open_image(file) as picture:
            return read_shot(picture)

    def _cache(self, copy: Path, content: bytes) -> Path | bytes:
        """Write a copy; on a full disk, return the content."""
        partial = copy.with_name(f"{secrets.token_hex(6)}.partial")
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(copy)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            return content
        with self._lock:
            self._bytes = None if self._bytes is None else self._bytes + len(content)
            if self._bytes is None or self._bytes > self._limit:
                self._bytes = self._prune()
        return copy

    def _prune(self) -> int:
        """Delete the least recently used copies if there are too many, and return the bytes left."""
        copies = []
        for file in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):  # deleted or renamed by another process
                copies.append((file, file.stat()))
        left = sum(status.st_size for _, status in copies)
        if left > self._limit:
            for file, status in sorted(copies, key=lambda copy: copy[1].st_mtime_ns):
                file.unlink(missing_ok=True)
                left -= status.st_size
                if left < _KEEP * self._limit:
                    break
        return left


def _is_cached(copy: Path) -> bool:
    """Whether a copy exists. Its modification time is set to now, because eviction is by last use."""
    try:
        os.utime(copy)
    except OSError:
        return False
    return True


def _version(file: Path, status: os.stat_result) -> str:
    """A name for a file with this content."""
    about = f"{status.st_mtime_ns} {status.st_size} ".encode() + os.fsencode(file)
    return hashlib.sha256(about).hexdigest()[:24]


def _locate(root: Path, path: str) -> tuple[Path, os.stat_result]:
    """The file with links resolved, and its status."""
    file = Path(os.path.realpath(root / path))
    try:
        status = file.stat()
    except OSError as error:
        if reason := machine_fault(error, file):
            raise unread(reason) from error
        raise ImageMissingError("The file is no longer in the folder.") from error
    if not is_inside(root, path):
        raise ImageMissingError("The file leads out of the folder.")
    if not stat.S_ISREG(status.st_mode) or not os.access(file, os.R_OK):
        raise ImageError("The file cannot be read.")
    return file, status


def _encode(photo: Photo, side: int | None, profile: bytes | None) -> bytes:
    """Encode the upright picture as JPEG, with the colour profile of the original."""
    width, height = photo.size
    scale = min(1.0, side / max(width, height)) if side else 1.0
    small = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))), "lanczos")
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY, icc_profile=profile)
    return stream.getvalue()


def _media_type(file: Path) -> str:
    """The media type of a file that browsers show, by its content; empty for others."""
    with decoding(file), file.open("rb") as stream:
        return _TYPES.get(identify(stream), "")


def _header(file: Path) -> tuple[tuple[int, int], bytes | None]:
    """Stored width and height, and the colour profile if it is RGB as the decoded pixels are.

    Raises:
        ImageError: The file is not a picture.
        ImageUnreadError: This machine failed.
    """
    with decoding(file), open_image(file) as picture:
        profile = picture.info.get("icc_profile")
        return picture.size, profile if profile and profile[16:20] == b"RGB " else None

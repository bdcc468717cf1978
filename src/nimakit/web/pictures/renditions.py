"""A collection's pictures as browsers are given them: the file itself, or a smaller copy made once."""

import hashlib
import io
import os
import secrets
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nimakit.errors import ImageError, ImageMissingError, machine_fault
from nimakit.images.photo import FORMATS, Photo, decoded_bytes, decoding, open_photo, unread
from nimakit.serving.admission import Admission
from nimakit.web.pictures.inventory import is_inside

THUMBNAIL = 480
SIDES = (THUMBNAIL, 1280, 2560)
"""Longer sides a smaller copy may have, in pixels."""

_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
"""What every browser shows; a TIFF is always converted."""

_LARGEST_FILE = 4_000_000
_QUALITY = 90
_CACHE_BYTES = 2 << 30
_KEEP = 0.8
_SECONDS_TO_WAIT = 20.0
"""For the memory that decoding takes, while others decode: a browser asks for six pictures at once."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture ready to be sent.

    Attributes:
        source: A file, or the bytes of one where there was no room to keep it.
        media_type: Such as ``image/jpeg``.
        version: Changes when the picture does.
    """

    source: Path | bytes
    media_type: str
    version: str


class Renditions:
    """Opens pictures, and keeps smaller copies within a bound, the longest unused going first.

    Args:
        folder: Where the copies are kept; made where missing.
        decoding: Admits pictures to be decoded, by the memory that takes.
        max_pixels: Largest width times height of a picture.
        limit: Bytes all copies may have together.
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
        self._as_they_are: set[str] = set()

    def find(self, root: Path, path: str, side: int | None = None) -> Rendition:
        """A picture at a size.

        Args:
            root: The collection's folder, links followed.
            path: Below it.
            side: Longer side at most, one of `SIDES`; None for the picture in full.

        Raises:
            ImageMissingError: There is no such file inside the folder.
            ImageError: It cannot be read or decoded, or has too many pixels.
            ImageUnreadError: This machine failed, and nothing is known of the picture.
            BusyError: Others are decoded, and it had no turn in time.
        """
        file, status = _locate(root, path)
        media_type = _TYPES.get(file.suffix.lower())
        version = hashlib.sha256(
            f"{status.st_mtime_ns} {status.st_size} ".encode() + os.fsencode(file)
        ).hexdigest()[:24]
        name = f"{version}-{side or 'full'}"
        if media_type and (side is None or name in self._as_they_are):
            return Rendition(file, media_type, version)
        copy = self._folder / version[:2] / f"{name}.jpg"
        if _is_kept(copy):
            return Rendition(copy, "image/jpeg", version)
        with self._decoding.admit(decoded_bytes(file, self._max_pixels), _SECONDS_TO_WAIT):
            if _is_kept(copy):  # whoever had the turn before made it
                return Rendition(copy, "image/jpeg", version)
            size, profile = _header(file)
            if media_type and side and max(size) <= side and status.st_size <= _LARGEST_FILE:
                open_photo(
                    file, max_pixels=self._max_pixels
                )  # a picture cut off halfway must not be judged as it is
                self._as_they_are.add(name)
                return Rendition(file, media_type, version)
            photo = open_photo(file, max_pixels=self._max_pixels, at_least=side)
            return Rendition(self._keep(copy, _encode(photo, side, profile)), "image/jpeg", version)

    def _keep(self, copy: Path, content: bytes) -> Path | bytes:
        """Write a copy; on a full disk it is only made anew for whoever looks next."""
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
        """Delete copies until they are well within the bound; how many bytes are left."""
        copies = []
        for file in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):  # another process pruned it, or gave it its name
                copies.append((file, file.stat()))
        left = sum(status.st_size for _, status in copies)
        if left > self._limit:
            for file, status in sorted(copies, key=lambda one: one[1].st_mtime_ns):
                file.unlink(missing_ok=True)
                left -= status.st_size
                if left < _KEEP * self._limit:
                    break
        return left


def _is_kept(copy: Path) -> bool:
    """Whether there is a copy, which counts as used now: the longest unused goes first."""
    try:
        os.utime(copy)
    except OSError:
        return False
    return True


def _locate(root: Path, path: str) -> tuple[Path, os.stat_result]:
    """The file itself, links followed, and its state."""
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
    """A JPEG of the upright picture, with the colours of the original."""
    width, height = photo.size
    scale = min(1.0, side / max(width, height)) if side else 1.0
    small = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))), "lanczos")
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY, icc_profile=profile)
    return stream.getvalue()


def _header(file: Path) -> tuple[tuple[int, int], bytes | None]:
    """Width and height as they are stored; the colour profile, where it is one of RGB, as decoded pixels are.

    Raises:
        ImageError: It is no picture.
        ImageUnreadError: As for `nimakit.images.photo.open_photo`.
    """
    with decoding(file), Image.open(file, formats=FORMATS) as picture:
        profile = picture.info.get("icc_profile")
        return picture.size, profile if profile and profile[16:20] == b"RGB " else None

"""List the images of a folder without decoding them: size, hash, and the time they were taken."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from nimakit.errors import first_line, machine_fault
from nimakit.images.files import image_id
from nimakit.images.photo import EXIF_ORIENTATION, FORMATS, HEAD, unidentified
from nimakit.io.atomic import escaped
from nimakit.io.threads import in_threads

_EXIF_FOLDER = 0x8769
_TAKEN = 0x9003
_TAKEN_OFFSET = 0x9011


def describe(folder: Path, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Describe images, in order.

    Args:
        folder: Folder that the paths in the entries are relative to.
        paths: N image files in it.

    Yields:
        ``path``, ``image_id``, ``width`` and ``height`` in pixels of the upright picture, ``bytes``,
        ``sha256``, and ``taken`` (ISO 8601) if the camera recorded it; or ``path``, ``image_id`` and
        ``error``.
    """
    yield from in_threads(partial(_entry, folder), paths)


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": escaped(path.relative_to(folder).as_posix()), "image_id": image_id(path)}
    if path.exists() and not path.is_file():
        return {**entry, "error": "An image must be a regular file, not a folder, a pipe or a device."}
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
            stream.seek(0)
            head = stream.read(HEAD)
            with Image.open(stream, formats=FORMATS) as image:
                width, height = _upright_size(image)
                taken = _taken(image)
    except UnidentifiedImageError:
        return {**entry, "error": unidentified(head)}
    except OSError as error:
        return {**entry, "error": f"The file cannot be read: {error.strerror or first_line(error)}"}
    except Exception as error:  # noqa: BLE001 - Pillow raises almost anything on damaged bytes
        return {**entry, "error": f"The image cannot be read: {machine_fault(error) or first_line(error)}"}
    entry |= {"width": width, "height": height, "bytes": size, "sha256": digest}
    return {**entry, "taken": taken} if taken else entry


def _upright_size(image: Image.Image) -> tuple[int, int]:
    # For a TIFF, Pillow's size is already upright.
    swapped = image.format != "TIFF" and image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if swapped else image.size


def _taken(image: Image.Image) -> str:
    """The time the picture was taken, by its EXIF; empty if it is missing."""
    exif = image.getexif().get_ifd(_EXIF_FOLDER)
    try:
        taken = datetime.strptime(str(exif.get(_TAKEN)).strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat()  # noqa: DTZ007
    except ValueError:
        return ""
    offset = str(exif.get(_TAKEN_OFFSET)).strip("\0 ")
    return taken + (offset if re.fullmatch(r"[+-]\d\d:\d\d", offset) else "")

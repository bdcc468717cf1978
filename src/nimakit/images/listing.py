"""List the images of a folder without decoding them: size, hash, and the time they were taken."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from nimakit.errors import ImageError, first_line, machine_fault
from nimakit.images.exif import Shot, read_orientation, read_shot
from nimakit.images.files import image_id
from nimakit.images.opening import open_image
from nimakit.io.atomic import escaped
from nimakit.io.threads import in_threads

_TURNED = 5
"""Orientations from this one on exchange width and height."""


def describe(folder: Path, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Describe images, in order.

    Args:
        folder: Folder that the paths in the entries are relative to.
        paths: N image files in it.

    Yields:
        ``path``, ``image_id``, ``width`` and ``height`` in pixels of the upright picture, ``bytes``,
        ``sha256``, and those fields of `nimakit.images.exif.Shot` that the camera recorded (``taken`` in ISO
        8601); or ``path``, ``image_id`` and ``error``.
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
            with open_image(stream) as image:
                width, height = _upright_size(image)
                shot = read_shot(image)
    except ImageError as error:
        return {**entry, "error": str(error)}
    except OSError as error:
        return {**entry, "error": f"The file cannot be read: {error.strerror or first_line(error)}"}
    except Exception as error:  # noqa: BLE001 - Pillow raises almost anything on damaged bytes
        return {**entry, "error": f"The image cannot be read: {machine_fault(error) or first_line(error)}"}
    entry |= {"width": width, "height": height, "bytes": size, "sha256": digest}
    return entry | _described(shot)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if read_orientation(image) >= _TURNED else (width, height)


def _described(shot: Shot) -> dict[str, Any]:
    """What the camera recorded; nothing for the rest."""
    fields = asdict(shot)
    if shot.taken:
        fields["taken"] = shot.taken.isoformat(
            timespec="milliseconds" if shot.taken.microsecond else "seconds"
        )
    return {name: value for name, value in fields.items() if value}

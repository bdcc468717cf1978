"""Render HTML pages from templates, with thumbnails embedded in the file or next to it."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nimakit.errors import ImageError, require_extra
from nimakit.images.formats import RAW_SUFFIXES
from nimakit.images.photo import ImageInput, open_photo
from nimakit.io.atomic import atomic_bytes, make_folder, output_errors
from nimakit.io.threads import in_threads
from nimakit.progress import track

_QUALITY = 78
_PREFIX = "thumb-"
"""Begins the names of thumbnails in a folder, where other files are left alone."""


def require_jinja() -> None:
    """Raise MissingExtraError if Jinja2 is not installed."""
    require_extra("report", "HTML reports need Jinja2.", "jinja2")


def fill(template: str, **values: Any) -> str:
    """Render a template of this package to HTML; every value is escaped.

    Args:
        template: File name in ``templates``.
        values: Variables of the template.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    require_jinja()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nimakit.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def thumbnails(sources: Sequence[ImageInput | None], *, side: int, max_pixels: int) -> list[str]:
    """Thumbnails of pictures, in order.

    Args:
        sources: N pictures; None for no picture.
        side: Length of the longer side at most, in pixels.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        N data URLs; empty if there is no picture, or it was deleted after it was scored.
    """
    draw = partial(_thumbnail, side=side, max_pixels=max_pixels)
    drawn = track(in_threads(draw, sources), len(sources), "drawing")
    return [
        f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}" if content else ""
        for content in drawn
    ]


def write_thumbnails(
    sources: Mapping[str, ImageInput], folder: Path, *, side: int, max_pixels: int
) -> dict[str, str]:
    """Write thumbnails to files, so that a browser loads the pictures of a long page as they are scrolled to.

    Args:
        sources: Key of a picture, such as a hash of its content -> the picture.
        folder: Where to; made if it is missing. Thumbnails of an earlier page are kept if their keys are the
            same, and removed otherwise.
        side: As for `thumbnails`.
        max_pixels: As for `thumbnails`.

    Returns:
        Key -> file name; without pictures that cannot be read any more.

    Raises:
        OutputError: The folder could not be written.
    """
    make_folder(folder)
    names = {key: f"{_PREFIX}{key}.jpg" for key in sources}
    existing = {path.name for path in folder.glob(f"{_PREFIX}*.jpg")}
    for name in existing - set(names.values()):
        with output_errors(str(folder / name)):
            (folder / name).unlink(missing_ok=True)
    missing = [key for key in sources if names[key] not in existing]
    draw = partial(_thumbnail, side=side, max_pixels=max_pixels)
    drawn = in_threads(draw, [sources[key] for key in missing])
    for key, content in track(zip(missing, drawn, strict=True), len(missing), "drawing"):
        if content:
            atomic_bytes(content, folder / names[key])
        else:
            del names[key]
    return names


def link_to(path: Path, page: Path) -> str:
    """The address of a photograph from a page; empty for camera RAW, which browsers do not show."""
    if path.name.lower().endswith(RAW_SUFFIXES):
        return ""
    return quote(os.fsencode(os.path.relpath(path, page.parent)))


def heights(shares: Sequence[float]) -> list[float]:
    """Relative heights of bars, 1 for the highest; empty if all are 0.

    >>> heights([1, 2, 4])
    [0.25, 0.5, 1.0]
    """
    top = max(shares, default=0.0)
    return [share / top for share in shares] if top else []


def _thumbnail(source: ImageInput | None, side: int, max_pixels: int) -> bytes:
    """A JPEG; empty if there is no picture."""
    if source is None:
        return b""
    try:
        photo = open_photo(source, max_pixels=max_pixels, at_least=side)
    except ImageError:
        return b""
    width, height = photo.size
    scale = min(1.0, side / max(width, height))
    small = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))), "lanczos")
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()

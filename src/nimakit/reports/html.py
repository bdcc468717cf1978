"""Render HTML pages from templates, with thumbnails embedded in the file."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

from nimakit.errors import ImageError, require_extra
from nimakit.images.photo import ImageInput, open_photo
from nimakit.io.threads import in_threads
from nimakit.progress import track

_QUALITY = 78


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
    return list(track(in_threads(draw, sources), len(sources), "drawing"))


def heights(shares: Sequence[float]) -> list[float]:
    """Relative heights of bars, 1 for the highest; empty if all are 0.

    >>> heights([1, 2, 4])
    [0.25, 0.5, 1.0]
    """
    top = max(shares, default=0.0)
    return [share / top for share in shares] if top else []


def _thumbnail(source: ImageInput | None, side: int, max_pixels: int) -> str:
    if source is None:
        return ""
    try:
        photo = open_photo(source, max_pixels=max_pixels, at_least=side)
    except ImageError:
        return ""
    width, height = photo.size
    scale = min(1.0, side / max(width, height))
    small = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))), "lanczos")
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

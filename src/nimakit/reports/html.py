"""What every HTML page we write is made of: templates, and pictures inside the file."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nimakit.errors import ImageError, MissingExtraError
from nimakit.images.photo import ImageInput, open_photo
from nimakit.io.threads import cores
from nimakit.progress import track

_QUALITY = 78


def require_jinja() -> None:
    """Refuse early, before hours of scoring.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "HTML reports need Jinja2. Install it: pip install 'nimakit[report]'"
        ) from error


def fill(template: str, **values: Any) -> str:
    """Fill a template of this package; every value is escaped.

    Args:
        template: File name in ``templates``.
        values: What the template names.

    Returns:
        HTML.

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
    """Small copies of pictures, in order.

    Args:
        sources: N pictures; None where there is none.
        side: Longer side at most, in pixels.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        N data URLs; empty where there is no picture, or it vanished since it was scored.
    """

    def draw(source: ImageInput | None) -> str:
        return "" if source is None else _thumbnail(source, side, max_pixels)

    with ThreadPoolExecutor(cores()) as pool:
        return list(track(pool.map(draw, sources), len(sources), "drawing"))


def heights(shares: Sequence[float]) -> list[float]:
    """Heights of bars, the highest 1; empty where all are 0.

    >>> heights([1, 2, 4])
    [0.25, 0.5, 1.0]
    """
    top = max(shares, default=0.0)
    return [share / top for share in shares] if top else []


def _thumbnail(source: ImageInput, side: int, max_pixels: int) -> str:
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

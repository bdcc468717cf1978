"""A contact sheet: one HTML file, best picture first, with everything inside."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.engine import cores
from nimakit.errors import ImageError, MissingExtraError
from nimakit.histogram import FloatArray
from nimakit.images import ImageInput, open_photo
from nimakit.progress import track

MAX_PICTURES = 1000
"""More would make a page no browser opens gladly: about 20 KB a picture."""

_THUMBNAIL_SIDE = 480
_THUMBNAIL_QUALITY = 78
_HISTOGRAM_BARS = 24


@dataclass(frozen=True, slots=True)
class _Card:
    rank: int
    record: dict[str, Any]
    thumbnail: str
    bars: list[float]


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


def render(
    records: Sequence[dict[str, Any]],
    paths: Sequence[Path | None],
    *,
    model_name: str,
    bins: FloatArray,
    reference: str,
    max_pixels: int,
) -> str:
    """Draw a contact sheet.

    Args:
        records: Score records, best first; those with an error last.
        paths: The image of each record.
        model_name: Named in the heading.
        bins: (bins,), values of the model's bins.
        reference: What percentiles are ranked among; empty where there are none.
        max_pixels: As for `nimakit.images.open_photo`.

    Returns:
        HTML; the first `MAX_PICTURES` scored records have a picture, all others only count.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    require_jinja()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    scored = [(r, p) for r, p in zip(records, paths, strict=True) if "error" not in r]
    failed = [r for r in records if "error" in r]
    shown = scored[:MAX_PICTURES]

    def draw(path: Path | None) -> str:
        return "" if path is None else _thumbnail(path, max_pixels)

    with ThreadPoolExecutor(cores()) as pool:
        thumbnails = list(track(pool.map(draw, [p for _, p in shown]), len(shown), "drawing"))
    cards = [
        _Card(rank, record, thumbnail, _bars(record["predictions"]))
        for rank, ((record, _), thumbnail) in enumerate(zip(shown, thumbnails, strict=True), start=1)
    ]
    environment = Environment(
        loader=PackageLoader("nimakit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    means = np.array([record["mean_score_prediction"] for record, _ in scored])
    return environment.get_template("contact_sheet.html").render(
        cards=cards,
        failed=failed,
        scored=len(scored),
        model_name=model_name,
        bins=bins.tolist(),
        reference=reference,
        spread=_spread(means, bins),
        average=float(means.mean()) if len(means) else None,
    )


def _thumbnail(source: ImageInput, max_pixels: int) -> str:
    """A data URL; empty where the picture vanished since it was scored."""
    try:
        photo = open_photo(source, max_pixels=max_pixels, at_least=_THUMBNAIL_SIDE)
    except ImageError:
        return ""
    width, height = photo.size
    scale = min(1.0, _THUMBNAIL_SIDE / max(width, height))
    small = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))), "lanczos")
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _bars(predictions: Sequence[float]) -> list[float]:
    """Heights of the bins, the highest 1."""
    top = max(predictions, default=0.0)
    return [p / top for p in predictions] if top else []


def _spread(means: FloatArray, bins: FloatArray) -> dict[str, Any]:
    """How many pictures have which mean score: bars over the range that occurs, within the scale."""
    if not len(means):
        return {"bars": [], "low": float(bins[0]), "high": float(bins[-1])}
    low, high = np.floor(means.min() * 2) / 2, np.ceil(means.max() * 2) / 2
    if high == low:
        high = low + 0.5
    counts, _ = np.histogram(means, bins=min(_HISTOGRAM_BARS, max(4, 2 * len(means))), range=(low, high))
    return {"bars": _bars(counts.tolist()), "counts": counts.tolist(), "low": float(low), "high": float(high)}

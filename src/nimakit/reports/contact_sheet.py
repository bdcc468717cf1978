"""A contact sheet of scored pictures: one self-contained HTML file, best first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.io.atomic import escaped
from nimakit.reports import html
from nimakit.stats.histogram import FloatArray

Measured = Mapping[str, float | None]
"""The ``measures`` of a record."""

MAX_PICTURES = 1000
"""A picture takes about 20 KB, and browsers struggle with larger pages."""

_THUMBNAIL_SIDE = 480
_HISTOGRAM_BARS = 24

_MEASURES: dict[str, tuple[str, float, int]] = {
    "sharpness": ("%.2f", 1, -1),
    "noise": ("%.1f", 1, 1),
    "shadows": ("%.0f %%", 100, 1),
    "highlights": ("%.0f %%", 100, 1),
    "headroom": ("%.1f EV", 1, 1),
    "contrast": ("%.0f %%", 100, -1),
    "blockiness": ("%.1f", 1, 1),
    "megapixels": ("%.1f", 1, -1),
}
"""Measure -> its format, what it is multiplied by, and its sign: the smallest product is the best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A model whose scores are shown.

    Attributes:
        key: Key of its scores in the records; empty if they are in the records themselves.
        name: Its name, for the heading.
        bins: (bins,), values of its bins.
        reference: Name of the scores that its percentiles refer to; empty without percentiles.
    """

    key: str
    name: str
    bins: FloatArray
    reference: str


def render(
    records: Sequence[dict[str, Any]],
    paths: Sequence[Path | None],
    scales: Sequence[Scale],
    *,
    file: Path,
    max_pixels: int,
) -> str:
    """Render a contact sheet.

    Args:
        records: Score records, best first; those with an error last.
        paths: The image of each record.
        scales: The models, one or more; the first one decides the order.
        file: Where the page will be, from which it links to the photographs.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        HTML; only the first `MAX_PICTURES` scored records have a picture.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    scored = [(r, p) for r, p in zip(records, paths, strict=True) if "error" not in r]
    failed = [r for r in records if "error" in r]
    shown = scored[:MAX_PICTURES]
    pictures = html.thumbnails([p for _, p in shown], side=_THUMBNAIL_SIDE, max_pixels=max_pixels)
    places = _places([record["measures"] for record, _ in shown if "measures" in record])
    cards = []
    for rank, ((record, path), thumbnail) in enumerate(zip(shown, pictures, strict=True), start=1):
        parts = [record.get(scale.key, record) for scale in scales]
        cards.append(
            {
                "rank": rank,
                "image_id": record["image_id"],
                "name": escaped(record.get("image") or (path.name if path else record["image_id"])),
                "link": html.link_to(path, file) if path else "",
                "thumbnail": thumbnail,
                "parts": parts,
                "measures": _measures(record.get("measures", {})),
                "places": places[rank - 1] if places else {},
                "bars": [html.heights(part["predictions"]) for part in parts],
            }
        )
    first = scales[0]
    means = np.array([record.get(first.key, record)["mean_score_prediction"] for record, _ in scored])
    return html.fill(
        "contact_sheet.html",
        cards=cards,
        failed=failed,
        scored=len(scored),
        scales=scales,
        references=", or ".join(dict.fromkeys(scale.reference for scale in scales if scale.reference)),
        spread=_spread(means, first.bins),
        average=float(means.mean()) if len(means) else None,
        has_spread=any(part["sd_score_prediction"] is not None for card in cards for part in card["parts"]),
        orders=[*_MEASURES] if places else [],
    )


def _measures(found: Measured) -> dict[str, str]:
    """Measures as text; a dash for those that a picture does not have."""
    return {
        name: "\N{EN DASH}" if value is None else text % (factor * value)
        for name, (text, factor, _) in _MEASURES.items()
        if name in found
        for value in [found[name]]
    }


def _places(found: Sequence[Measured]) -> list[dict[str, int]]:
    """For each picture its place by each measure, 1 for the best; pictures without it are last."""
    places: list[dict[str, int]] = [{} for _ in found]
    for name, (_, _, sign) in _MEASURES.items():
        values = [measures[name] for measures in found]
        keys = [math.inf if value is None else sign * value for value in values]
        for place, index in enumerate(sorted(range(len(keys)), key=keys.__getitem__), start=1):
            places[index][name] = place
    return places


def _spread(means: FloatArray, bins: FloatArray) -> dict[str, Any]:
    """Bar chart of the mean scores, over the range that occurs."""
    if not len(means):
        return {"bars": [], "low": float(bins[0]), "high": float(bins[-1])}
    low, high = np.floor(means.min() * 2) / 2, np.ceil(means.max() * 2) / 2
    if high == low:
        high = low + 0.5
    counts, _ = np.histogram(means, bins=min(_HISTOGRAM_BARS, max(4, 2 * len(means))), range=(low, high))
    return {
        "bars": html.heights(counts.tolist()),
        "counts": counts.tolist(),
        "low": float(low),
        "high": float(high),
    }

"""HTML report on a comparison: figures with intervals, calibration, and pictures that candidates disagree on.

Titles and explanations are in the template, comparison_report.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nimakit.reports import html, plots
from nimakit.scoring import charts, verdict
from nimakit.scoring.calibration import Calibration, calibrate
from nimakit.scoring.candidates import LabelledImages
from nimakit.scoring.compared import Compared
from nimakit.scoring.comparison import Comparison, Predictions, Row
from nimakit.scoring.disagreement import Places
from nimakit.scoring.forest import forests, number
from nimakit.scoring.report import THUMBNAIL_SIDE
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray

PICTURES = 8
"""Maximum number of pictures in a gallery."""

_LEAST_OFFSET = 0.005


def render(
    compared: Compared,
    *,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
    failures: Mapping[str, str] | None = None,
    max_pixels: int,
) -> str:
    """Render a report.

    Args:
        compared: The comparison.
        facts: How candidates were compared: name -> value.
        notes: Sentences to be read before the figures.
        failures: Images that are left out -> the reason.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        HTML; the same for the same input.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
    """
    found, candidates, images = compared.comparison, compared.predictions, compared.images
    truth = histogram.mean(images.labels, images.bins)
    calibrations = [calibrate(candidate.means, truth) for candidate in candidates]
    return html.fill(
        "comparison_report.html",
        images=found.images,
        rows=found.rows,
        best=found.best,
        sentences=verdict.in_short(found),
        notes=notes,
        tiles=_tiles(found),
        figures=forests(found),
        has_folds=any(row.folds for row in found.rows),
        costs=[row for row in found.rows if row.cost],
        calibrations=_calibration_charts(found.rows, calibrations),
        galleries=_galleries(candidates, images, truth, max_pixels),
        facts=facts,
        failures=[f"{name}: {reason}" for name, reason in (failures or {}).items()],
    )


def _tiles(found: Comparison) -> list[tuple[str, str]]:
    best = next(row for row in found.rows if row.name == found.best).figures
    tiles = [
        (f"{found.images:,}", "images"),
        (f"{len(found.rows)}", "candidate" if len(found.rows) == 1 else "candidates"),
        (number(best["srcc"].value), "highest SRCC"),
        (number(best["lcc"].value), "its PLCC"),
    ]
    return tiles if found.ceiling is None else [*tiles, (f"{found.ceiling:.3f}", "ceiling of PLCC")]


def _calibration_charts(rows: Sequence[Row], found: Sequence[Calibration]) -> list[dict[str, Any]]:
    shown = np.concatenate([np.concatenate([each.predicted, each.real]) for each in found])
    limits = plots.limits(shown)
    return [
        {
            "title": row.name,
            "svg": charts.calibration(f"calibration{number}", each, limits),
            "how_to_read": _on_calibration(each),
        }
        for number, (row, each) in enumerate(zip(rows, found, strict=True), start=1)
    ]


def _on_calibration(found: Calibration) -> str:
    sentence = "On average as high as people."
    if abs(found.offset) >= _LEAST_OFFSET:
        side = "above" if found.offset > 0 else "below"
        sentence = f"On average {abs(found.offset):.2f} {side} people."
    if found.slope is None:
        return sentence
    return f"{sentence} Where it predicts one point more, people rate {found.slope:.2f} points higher."


def _galleries(
    candidates: Sequence[Predictions],
    images: LabelledImages,
    truth: FloatArray,
    max_pixels: int,
) -> dict[str, list[dict[str, Any]]]:
    """Gallery -> its cards; each picture is opened once."""
    places = Places.of(truth, [candidate.means for candidate in candidates])
    chosen = {
        "disputed": places.disputed(PICTURES),
        "too_high": places.too_high(PICTURES),
        "too_low": places.too_low(PICTURES),
    }
    shown = sorted({row for rows in chosen.values() for row in rows})
    pictures = html.thumbnails(
        [images.paths[row] for row in shown], side=THUMBNAIL_SIDE, max_pixels=max_pixels
    )
    cards = {
        row: {
            "name": images.image_ids[row],
            "picture": picture,
            "bars": html.heights(images.labels[row].tolist()),
            "people": (float(truth[row]), 100 * float(places.people[row])),
            "candidates": [
                (candidate.name, float(candidate.means[row]), 100 * float(place))
                for candidate, place in zip(candidates, places.candidates[:, row], strict=True)
            ],
        }
        for row, picture in zip(shown, pictures, strict=True)
    }
    return {gallery: [cards[row] for row in rows] for gallery, rows in chosen.items()}

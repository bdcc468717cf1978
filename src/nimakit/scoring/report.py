"""HTML report on a model: metrics against people's ratings, charts, and the pictures worth looking at.

Titles and explanations are in the template, training_report.html.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nimakit.progress import track
from nimakit.reports import html, plots
from nimakit.scoring import charts, metrics
from nimakit.scoring.evaluation import Evaluation
from nimakit.scoring.forest import forests, number
from nimakit.scoring.judgement import Judgement
from nimakit.stats import correlation, histogram
from nimakit.stats.histogram import FloatArray

PICTURES = 8
"""Maximum number of pictures in a gallery."""

THUMBNAIL_SIDE = 320
"""Longer side of a picture in a gallery, in pixels."""

Explain = Callable[[Path], Image.Image | None]
"""Draws what the model looks at in a picture; returns None if the picture can no longer be read."""

_PHASES = {"dense": "head only", "all": "whole network"}


def require() -> None:
    """Check that the packages for reports are installed, before hours of scoring.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
    """
    html.require_jinja()
    plots.require_matplotlib()


def render(
    *,
    title: str,
    facts: Mapping[str, str],
    history: Sequence[Mapping[str, Any]],
    evaluations: Mapping[str, Evaluation],
    bins: FloatArray,
    max_pixels: int,
    judgement: Judgement | None = None,
    explain: Explain | None = None,
) -> str:
    """Render a report.

    Args:
        title: The heading.
        facts: Further facts about the model and the run: name -> value.
        history: A row per epoch: ``phase`` ("dense" or "all"), ``epoch`` (from 1, counted through both
            phases), ``learning_rate``, ``loss``, ``val_loss`` (may be None), ``seconds``. Empty for a model
            that was not trained here.
        evaluations: Name of the set ("validation", "test", "training") -> evaluation on it.
        bins: (bins,), values of the model's bins.
        max_pixels: As for `nimakit.images.photo.open_photo`.
        judgement: Whether the model is good enough; None to leave that out.
        explain: Draws what the model looks at in each picture of the galleries; None to leave that out.

    Returns:
        HTML; the same for the same input.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
    """
    return html.fill(
        "training_report.html",
        title=title,
        facts=facts,
        history=history,
        judgement=judgement,
        tiles=_tiles(judgement) if judgement else [],
        figures=forests(judgement.comparison) if judgement else [],
        phases=_PHASES,
        losses=_loss_chart(history) if history else "",
        metrics={name: evaluation.metrics for name, evaluation in evaluations.items()},
        cut=" and ".join(dict.fromkeys(f"{evaluation.metrics.cut:g}" for evaluation in evaluations.values())),
        shown=correlation.format_figure,
        sections=[
            _section(f"set{number}", name, evaluation, bins, max_pixels=max_pixels, explain=explain)
            for number, (name, evaluation) in enumerate(evaluations.items(), start=1)
        ],
        bins=bins.tolist(),
    )


def _tiles(found: Judgement) -> list[tuple[str, str]]:
    """The figures to see first, with their names."""
    model, count = found.comparison.rows[0].figures, found.comparison.images
    tiles = [
        (f"{count:,}", f"{found.part} picture{'' if count == 1 else 's'}"),
        (number(model["srcc"].value), "SRCC"),
        (number(model["lcc"].value), "PLCC"),
    ]
    if found.comparison.ceiling is not None:
        tiles.append((f"{found.comparison.ceiling:.3f}", "PLCC of a perfect model"))
    if found.worth:
        tiles.append((found.worth_in_words, "ratings are as good as its score"))
    return tiles


def _loss_chart(history: Sequence[Mapping[str, Any]]) -> str:
    def column(key: str) -> FloatArray:
        return np.array([math.nan if row[key] is None else row[key] for row in history], np.float64)

    phases = [_PHASES.get(row["phase"], row["phase"]) for row in history]
    return charts.losses(
        "losses", [row["epoch"] for row in history], column("loss"), column("val_loss"), phases
    )


def _section(
    key: str, name: str, evaluation: Evaluation, bins: FloatArray, *, max_pixels: int, explain: Explain | None
) -> dict[str, Any]:
    """What the template needs for one set."""
    scale = evaluation.label_bins
    real = histogram.mean(evaluation.labels, scale)
    predicted = metrics.stretched(evaluation.means, bins, scale)
    return {
        "name": name,
        "evaluation": evaluation,
        "same_scale": metrics.on_same_scale(bins, scale),
        "charts": _charts(key, evaluation, real, predicted, bins),
        "galleries": _galleries(evaluation, real, predicted, max_pixels, explain),
        "is_explained": explain is not None,
    }


def _charts(
    key: str, evaluation: Evaluation, real: FloatArray, predicted: FloatArray, bins: FloatArray
) -> dict[str, str]:
    """Chart -> SVG; those of distributions only where model and labels have the same bins."""
    residual = predicted - real
    found = {
        "agreement": charts.agreement(f"{key}-agreement", real, predicted, "mean score"),
        "means": charts.mean_scores(f"{key}-means", real, predicted),
        "residuals": charts.residuals(f"{key}-residuals", real, residual),
        "errors": charts.residual_counts(f"{key}-errors", residual),
    }
    rows = evaluation.histograms
    if rows is not None and np.array_equal(bins, evaluation.label_bins):
        real_spread, spread = (histogram.standard_deviation(r, bins) for r in (evaluation.labels, rows))
        found["ratings"] = charts.distributions(f"{key}-ratings", evaluation.labels, rows, bins)
        found["spreads"] = charts.agreement(f"{key}-spreads", real_spread, spread, "spread")
    return found


def _galleries(
    evaluation: Evaluation,
    real: FloatArray,
    predicted: FloatArray,
    max_pixels: int,
    explain: Explain | None,
) -> dict[str, list[dict[str, Any]]]:
    """Gallery -> its cards; each picture is opened once."""
    chosen = _choices(real, predicted)
    if not evaluation.paths:
        return {gallery: [] for gallery in chosen}
    shown = sorted({row for rows in chosen.values() for row in rows})
    paths = [evaluation.paths[row] for row in shown]
    pictures = html.thumbnails(paths, side=THUMBNAIL_SIDE, max_pixels=max_pixels)
    maps = [""] * len(paths)
    if explain:
        drawn = [explain(path) for path in track(paths, len(paths), "explaining")]
        maps = html.thumbnails(drawn, side=THUMBNAIL_SIDE, max_pixels=max_pixels)
    histograms = evaluation.histograms
    cards = {
        row: {
            "name": evaluation.image_ids[row],
            "picture": picture,
            "explained": explained,
            "real": float(real[row]),
            "predicted": float(predicted[row]),
            "real_bars": html.heights(evaluation.labels[row].tolist()),
            "predicted_bars": html.heights([] if histograms is None else histograms[row].tolist()),
        }
        for row, picture, explained in zip(shown, pictures, maps, strict=True)
    }
    return {gallery: [cards[row] for row in rows] for gallery, rows in chosen.items()}


def _choices(real: FloatArray, predicted: FloatArray) -> dict[str, list[int]]:
    """Gallery -> rows of its pictures; may be empty."""
    residual = predicted - real
    count = min(PICTURES, max(1, len(residual) // 2))
    lowest = count if len(residual) > 1 else 0

    def first(values: FloatArray, most: int) -> list[int]:
        rows: list[int] = np.argsort(values, kind="stable")[:most].tolist()
        return rows

    return {
        "model_best": first(-predicted, count),
        "model_worst": first(predicted, lowest),
        "people_best": first(-real, count),
        "people_worst": first(real, lowest),
        "too_high": first(-residual, min(count, int((residual > 0).sum()))),
        "too_low": first(residual, min(count, int((residual < 0).sum()))),
    }

"""The report on a trained model: one HTML file with its figures, charts and most telling pictures."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nimakit.progress import track
from nimakit.reports import html, plots
from nimakit.scoring import charts, metrics
from nimakit.scoring.evaluation import Evaluation
from nimakit.stats import correlation, histogram
from nimakit.stats.histogram import FloatArray

PICTURES = 8
"""In a gallery, at most."""

THUMBNAIL_SIDE = 320
"""Longer side of a picture in a gallery, in pixels."""

Explain = Callable[[Path], Image.Image | None]
"""Draws what the model looks at in a picture; None where the picture cannot be read any more."""

_WITH_VALIDATION = """\
Both lines should fall. Where the validation line turns upwards while the training line still falls, the model
begins to learn its training pictures by heart. With few pictures kept back, that line is a rough guide."""
_WITHOUT_VALIDATION = """\
The line should fall. As no pictures were kept back, it does not tell what the model makes of others."""
_PHASES = {"dense": "head alone", "all": "whole network"}


@dataclass(frozen=True, slots=True)
class _Figure:
    """A row of the table of figures; None where a figure is not defined."""

    name: str
    meaning: str
    values: list[str | None]


@dataclass(frozen=True, slots=True)
class _Chart:
    title: str
    svg: str
    how_to_read: str


@dataclass(frozen=True, slots=True)
class _Card:
    name: str
    picture: str
    explained: str
    real: float
    predicted: float
    real_bars: list[float]
    predicted_bars: list[float]


@dataclass(frozen=True, slots=True)
class _Gallery:
    title: str
    how_to_read: str
    cards: list[_Card]


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    evaluation: Evaluation
    same_scale: bool
    charts: list[_Chart]
    galleries: list[_Gallery]
    is_explained: bool


@dataclass(frozen=True, slots=True)
class _Means:
    """Mean scores of N pictures, both (N,) float64 on the scale of the labels."""

    real: FloatArray
    predicted: FloatArray


def require() -> None:
    """Refuse early, before hours of scoring.

    Raises:
        MissingExtraError: A package a report needs is not installed.
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
    explain: Explain | None = None,
) -> str:
    """Draw a report.

    Args:
        title: The heading.
        facts: What is worth knowing of the model and the run: name -> value.
        history: A row an epoch: ``phase`` ("dense" or "all"), ``epoch`` (from 1, through both phases),
            ``learning_rate``, ``loss``, ``val_loss`` (None for none), ``seconds``. Empty for a model that
            was not trained here.
        evaluations: Name of the set ("validation", "test", "training") -> how the model did on it.
        bins: (bins,), values of the model's bins.
        max_pixels: As for `nimakit.images.photo.open_photo`.
        explain: Draws what the model looks at in a picture, for those that are shown; None for not at all.

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
        phases=_PHASES,
        learning=_learning(history),
        sets=list(evaluations),
        figures=_figures(list(evaluations.values())),
        sections=[
            _section(f"set{number}", name, evaluation, bins, max_pixels=max_pixels, explain=explain)
            for number, (name, evaluation) in enumerate(evaluations.items(), start=1)
        ],
        bins=bins.tolist(),
    )


def _learning(history: Sequence[Mapping[str, Any]]) -> _Chart | None:
    if not history:
        return None

    def column(key: str) -> FloatArray:
        return np.array([math.nan if row[key] is None else row[key] for row in history], np.float64)

    svg = charts.losses(
        "losses",
        [row["epoch"] for row in history],
        column("loss"),
        column("val_loss"),
        [_PHASES.get(row["phase"], row["phase"]) for row in history],
    )
    return _Chart(
        "Loss by epoch",
        svg,
        _WITH_VALIDATION if any(row["val_loss"] is not None for row in history) else _WITHOUT_VALIDATION,
    )


def _figures(evaluations: Sequence[Evaluation]) -> list[_Figure]:
    found = [evaluation.metrics for evaluation in evaluations]
    if not found:
        return []

    def row(name: str, meaning: str, key: str) -> _Figure:
        values = [correlation.format_figure(getattr(one, key), one.images, 3) or None for one in found]
        return _Figure(name, meaning, values)

    cut = " and ".join(dict.fromkeys(f"{one.cut:g}" for one in found))
    return [
        _Figure("Pictures", "how many were compared", [f"{one.images:,}" for one in found]),
        row(
            "SRCC",
            "how well the model's ranking matches people's: 1 identical, 0 unrelated, -1 reversed",
            "srcc_mean",
        ),
        row("LCC", "as SRCC, of the scores rather than of the ranks", "lcc_mean"),
        row("MAE", "how far the mean score is off, on average, in points of the scale", "mae_mean"),
        row("EMD", "how far the distributions are apart: 0 the same", "emd"),
        row("EMD, r = 2", "the same as the model is trained on it: large gaps count more", "emd_r2"),
        row(
            "Accuracy", f"share of pictures on the side of {cut} on which people put them: 1 all", "accuracy"
        ),
        row("SRCC of the spread", "whether it knows where people disagree: 1 exactly, 0 not", "srcc_sd"),
        row("LCC of the spread", "the same, of the standard deviations rather than of their ranks", "lcc_sd"),
    ]


def _section(
    key: str,
    name: str,
    evaluation: Evaluation,
    bins: FloatArray,
    *,
    max_pixels: int,
    explain: Explain | None,
) -> _Section:
    scale = evaluation.label_bins
    means = _Means(
        real=histogram.mean(evaluation.labels, scale),
        predicted=_move(evaluation.means, bins, scale),
    )
    return _Section(
        name=name,
        evaluation=evaluation,
        same_scale=metrics.on_same_scale(bins, scale),
        charts=_charts(key, evaluation, means, bins),
        galleries=_galleries(evaluation, means, max_pixels, explain),
        is_explained=explain is not None,
    )


def _move(scores: FloatArray, bins: FloatArray, scale: FloatArray) -> FloatArray:
    """Scores on the scale of some bins moved to another, ends to ends."""
    share = (scores - bins[0]) / (bins[-1] - bins[0])
    return np.asarray(scale[0] + share * (scale[-1] - scale[0]))


def _charts(key: str, evaluation: Evaluation, means: _Means, bins: FloatArray) -> list[_Chart]:
    real, predicted = means.real, means.predicted
    found = [
        _Chart(
            "Predicted against real",
            charts.agreement(f"{key}-agreement", real, predicted, "mean score"),
            "Each point is a picture. On the dashed line the model says what people said; above it the model"
            " likes the picture better than people do, below it less.",
        ),
        _Chart(
            "Mean scores",
            charts.mean_scores(f"{key}-means", real, predicted),
            "How many pictures get which mean score. A narrower hill for the model means that it plays safe:"
            " it calls few pictures very good or very bad.",
        ),
    ]
    if evaluation.histograms is not None and np.array_equal(bins, evaluation.label_bins):
        found += _rating_charts(key, evaluation.labels, evaluation.histograms, bins)
    residual = predicted - real
    found += [
        _Chart(
            "Errors by score",
            charts.residuals(f"{key}-residuals", real, residual),
            "Above the dashed line the model scored too high, below it too low. A cloud that falls from left"
            " to right means that it lifts bad pictures and lowers good ones.",
        ),
        _Chart(
            "Size of the errors",
            charts.residual_counts(f"{key}-errors", residual),
            "How many pictures are off by how much. A narrow hill around 0 is good; one beside 0 means that"
            " the model is too kind (right) or too harsh (left) throughout.",
        ),
    ]
    return found


def _rating_charts(key: str, labels: FloatArray, predicted: FloatArray, bins: FloatArray) -> list[_Chart]:
    """Of what only distributions over the same bins can show."""
    real_spread, spread = (histogram.standard_deviation(rows, bins) for rows in (labels, predicted))
    return [
        _Chart(
            "Ratings",
            charts.distributions(f"{key}-ratings", labels, predicted, bins),
            "How often each rating is given, over all pictures. Bars of the same height mean that the model"
            " expects ratings as people give them.",
        ),
        _Chart(
            "Disagreement",
            charts.agreement(f"{key}-spreads", real_spread, spread, "spread"),
            "The spread (standard deviation) of a picture's ratings: the larger, the more people disagree. A"
            " cloud along the dashed line means that the model knows which pictures divide opinion.",
        ),
    ]


def _galleries(
    evaluation: Evaluation, means: _Means, max_pixels: int, explain: Explain | None
) -> list[_Gallery]:
    chosen = [(title, text, rows) for title, text, rows in _choices(means) if rows]
    shown = sorted({row for _, _, rows in chosen for row in rows})
    paths = [evaluation.paths[row] for row in shown]
    pictures = html.thumbnails(paths, side=THUMBNAIL_SIDE, max_pixels=max_pixels)
    maps = [""] * len(paths)
    if explain:
        drawn = [explain(path) for path in track(paths, len(paths), "explaining")]
        maps = html.thumbnails(drawn, side=THUMBNAIL_SIDE, max_pixels=max_pixels)
    cards = {
        row: _card(evaluation, means, row, picture, drawing)
        for row, picture, drawing in zip(shown, pictures, maps, strict=True)
    }
    return [_Gallery(title, text, [cards[row] for row in rows]) for title, text, rows in chosen]


def _choices(means: _Means) -> list[tuple[str, str, list[int]]]:
    """Title, text and rows of each gallery; there may be no rows."""
    residual = means.predicted - means.real
    count = min(PICTURES, max(1, len(residual) // 2))
    lowest = count if len(residual) > 1 else 0
    return [
        ("Model's favourites", "The highest predicted mean scores.", _first(-means.predicted, count)),
        ("Model's lowest", "The lowest predicted mean scores.", _first(means.predicted, lowest)),
        ("People's favourites", "The highest mean ratings.", _first(-means.real, count)),
        ("People's lowest", "The lowest mean ratings.", _first(means.real, lowest)),
        (
            "Scored too high",
            "Where the model is most above people: what misleads it?",
            _first(-residual, min(count, int((residual > 0).sum()))),
        ),
        (
            "Scored too low",
            "Where the model is most below people: what does it miss?",
            _first(residual, min(count, int((residual < 0).sum()))),
        ),
    ]


def _first(values: FloatArray, count: int) -> list[int]:
    """Rows of the lowest values, lowest first; equal ones in the order of the set."""
    rows: list[int] = np.argsort(values, kind="stable")[:count].tolist()
    return rows


def _card(evaluation: Evaluation, means: _Means, row: int, picture: str, explained: str) -> _Card:
    predicted = [] if evaluation.histograms is None else evaluation.histograms[row].tolist()
    return _Card(
        name=evaluation.image_ids[row],
        picture=picture,
        explained=explained,
        real=float(means.real[row]),
        predicted=float(means.predicted[row]),
        real_bars=html.heights(evaluation.labels[row].tolist()),
        predicted_bars=html.heights(predicted),
    )

"""How good a model is: next to a mean guess, the model it started from, and how far people agree."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nimakit.errors import ConfigError, DownloadError, ModelError
from nimakit.images.photo import MAX_PIXELS
from nimakit.labels.ratings import Ratings
from nimakit.models.pretrained import Notify
from nimakit.scoring import metrics
from nimakit.scoring.candidates import LabelledImages, Settings, scored
from nimakit.scoring.comparison import Comparison, Predictions, Row, ceiling, compare, reliability
from nimakit.scoring.evaluation import Evaluation
from nimakit.scoring.verdict import has_reached, is_clear, on_ceiling
from nimakit.stats import histogram
from nimakit.stats.agreement import Icc, icc_of_means
from nimakit.stats.bootstrap import RESAMPLES, Interval
from nimakit.stats.correlation import FEW_IMAGES
from nimakit.stats.histogram import FloatArray
from nimakit.wording import many

MODEL = "the model"
MEAN = "the mean for every picture"
START = "the model it started from"
"""Names of what is compared."""

_TEST = "test"
_MOST_RATINGS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A judgement of a model.

    Attributes:
        part: Name of the set that it is judged by.
        comparison: The model, a guess of the mean rating for every image, and the model it started from if
            that is known; differences are to the model.
        worth: Number of ratings of an image whose mean agrees with people as well as the model does; None if
            not known.
        answer: Whether it is good enough, in a few words.
        reasons: Why, in sentences.
    """

    part: str
    comparison: Comparison
    worth: Interval | None
    answer: str
    reasons: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The judgement as lines of text, without the notes, which follow the metrics."""
        return [f"in short: {self.answer}. {self.reasons[0]}", *self.reasons[1:]]

    @property
    def worth_in_words(self) -> str:
        """The number of ratings it is worth, as a round number; empty if not known."""
        return "" if self.worth is None else _number(self.worth.value)


def chief(evaluations: Mapping[str, Evaluation]) -> str | None:
    """The set that a model is judged by: the test set, or else the first; None without any."""
    return _TEST if _TEST in evaluations else next(iter(evaluations), None)


def predictions_of_start(
    start: str | Path, evaluation: Evaluation, *, max_pixels: int = MAX_PIXELS, notify: Notify
) -> Predictions | None:
    """What the model that another one started from predicts for the images of an evaluation.

    Args:
        start: The model, as for `nimakit.models.loading.load_model`.
        evaluation: Of the other one.
        max_pixels: As for `nimakit.images.photo.open_photo`.
        notify: Called with a sentence if it cannot be scored.

    Returns:
        None if it cannot be loaded, or there is an image that it does not score.
    """
    images = LabelledImages(
        image_ids=evaluation.image_ids,
        paths=evaluation.paths,
        labels=evaluation.labels,
        bins=evaluation.label_bins,
        counts=evaluation.counts,
    )
    if not images.paths:
        return None
    folds = np.zeros(len(images.paths), np.intp)
    try:
        outcome = scored(images, str(start), Settings(folds=folds, max_pixels=max_pixels, notify=notify))
    except (ModelError, DownloadError, ConfigError) as error:
        notify(f"the report lacks the model it started from: {error}")
        return None
    if outcome.failures:
        notify(f"the report lacks the model it started from: {len(outcome.failures)} pictures have no score")
        return None
    return replace(outcome.predictions, name=START)


def judge(
    part: str,
    evaluation: Evaluation,
    bins: FloatArray,
    *,
    start: Predictions | None = None,
    ratings: Ratings | None = None,
    resamples: int = RESAMPLES,
) -> Judgement:
    """Judge a model by its evaluation on a set.

    It is good enough if it agrees with people better than one more person would: if its linear correlation
    with the true mean ratings, which is its PLCC divided by the ceiling, is at least that of a single rating.
    With the reliability of a single rating r, the mean of n ratings has a squared correlation of
    n r / (1 + (n - 1) r) with the true means (Spearman-Brown), which gives the number of ratings that a model
    is worth.

    Args:
        part: Name of the set.
        evaluation: The evaluation.
        bins: (bins,), of the model.
        start: What the model it started from predicts for the same images, on the scale of the labels.
        ratings: Single ratings from which the labels were made, among others. They tell how far people agree
            better than numbers of ratings, because a lenient rater is not taken for one who disagrees. They
            count if each image has one.
        resamples: Number of resamples of the intervals.
    """
    labels, scale = evaluation.labels, evaluation.label_bins
    same = np.array_equal(bins, scale)
    candidates = [
        Predictions(
            name=MODEL,
            means=metrics.stretched(evaluation.means, bins, scale),
            histograms=evaluation.histograms if same else None,
        ),
        _mean_guess(labels, scale),
        *([start] if start else []),
    ]
    people = _people(evaluation, ratings)
    found = replace(
        compare(candidates, labels, scale, counts=evaluation.counts, reference=0, resamples=resamples),
        ceiling=ceiling(people),
    )
    worth = None if people is None else _worth(found.rows[0].figures["lcc"], people, found.ceiling)
    is_calibrated = metrics.on_same_scale(bins, scale)
    answer, because = _answer(evaluation, found, worth, is_calibrated=is_calibrated)
    return Judgement(
        part=part,
        comparison=found,
        worth=worth,
        answer=answer,
        reasons=(because, *_on_others(found, is_calibrated=is_calibrated), *on_ceiling(found.rows[0], found)),
    )


def _people(evaluation: Evaluation, ratings: Ratings | None) -> Icc | None:
    """How far people agree, by single ratings if each image has one, else by numbers of ratings."""
    if ratings is not None:
        known = ratings.latest().among(evaluation.image_ids)
        if len(np.unique(known.image)) == len(evaluation.image_ids):
            return icc_of_means(known.image, known.user, known.rating)
    if evaluation.counts is None:
        return None
    return reliability(evaluation.labels, evaluation.label_bins, evaluation.counts)


def _mean_guess(labels: FloatArray, bins: FloatArray) -> Predictions:
    """The mean distribution of ratings, predicted for every image: the best that ignores the image."""
    average = np.tile(labels.mean(axis=0), (len(labels), 1))
    return Predictions(name=MEAN, means=histogram.mean(average, bins), histograms=average)


def _worth(lcc: Interval, icc: Icc, ceiling: float | None) -> Interval | None:
    """The number of ratings that a model is worth; None if people's agreement or the PLCC is not defined."""
    if ceiling is None or ceiling == 0 or not 0 < icc.single < 1 or not lcc.is_defined:
        return None

    def number(value: float) -> float:
        shared = min(max(value, 0.0) / ceiling, 1.0) ** 2
        if shared == 1:
            return float(_MOST_RATINGS)
        return min(shared * (1 - icc.single) / (icc.single * (1 - shared)), _MOST_RATINGS)

    return Interval(*map(number, (lcc.value, lcc.low, lcc.high)))


def _answer(
    evaluation: Evaluation, found: Comparison, worth: Interval | None, *, is_calibrated: bool
) -> tuple[str, str]:
    """Whether a model is good enough, and why: the first rule that applies."""
    srcc = found.rows[0].figures["srcc"]
    if not srcc.is_defined:
        return "Unknown", "All scores, or all ratings, are equal, so there is nothing to rank."
    shown = f"Its SRCC is {_shown(srcc, found.images)}"
    if evaluation.metrics.training_images:
        return "Unknown", f"{shown}, on pictures that the model has learned from."
    if found.images < FEW_IMAGES:
        return "Too few pictures to tell", f"{shown}, on only {many(found.images, 'picture')}."
    return _failure(shown, found, is_calibrated=is_calibrated) or _success(shown, found, worth)


def _failure(shown: str, found: Comparison, *, is_calibrated: bool) -> tuple[str, str] | None:
    """Why a model is not good enough, whatever people's agreement is; None if there is no such reason."""
    model, guess, *start = found.rows
    if model.figures["srcc"].low <= 0:
        return "Not good enough", f"{shown}: the interval contains 0, so its ranking may be chance."
    if any(row.differences["srcc"].low > 0 for row in start):
        return "Not good enough", f"{shown}, and the model it started from is better."
    if is_calibrated and guess.differences["mae"].low <= 0:
        return (
            "Good for ranking at most",
            f"{shown}, but its scores are not clearly closer to people's ratings than their mean for every"
            " picture.",
        )
    return None


def _success(shown: str, found: Comparison, worth: Interval | None) -> tuple[str, str]:
    if has_reached(found.rows[0], found):
        return "As good as these ratings can show", f"{shown}."
    if worth is None:
        return (
            "Better than guessing",
            f"{shown}. How good it could be is unknown: that takes two or more ratings of a picture, and a"
            " label file with numbers of ratings.",
        )
    return _by_worth(shown, worth)


def _by_worth(shown: str, worth: Interval) -> tuple[str, str]:
    if worth.low >= 1:
        return (
            "Good enough",
            f"{shown}. It agrees with people as well as the mean of {_ratings(worth)}.",
        )
    if worth.value >= 1:
        return (
            "Probably good enough",
            f"{shown}. It agrees with people as well as the mean of {_ratings(worth)}; more pictures"
            " would make this sure.",
        )
    if worth.high >= 1:
        return "Probably not good enough", f"{shown}. One person's rating probably says more than its score."
    return "Not good enough", f"{shown}. One person's rating says more than its score."


def _ratings(worth: Interval) -> str:
    """The number of ratings, with its interval."""
    low, high = (_number(number) for number in (worth.low, worth.high))
    return f"{_number(worth.value)} ratings would ({low} to {high})"


def _number(ratings: float) -> str:
    if ratings >= _MOST_RATINGS:
        return f"more than {_MOST_RATINGS:,}"
    return f"{ratings:.1f}" if ratings < 9.95 else f"{ratings:.0f}"


def _on_others(found: Comparison, *, is_calibrated: bool) -> list[str]:
    """How it compares with the guess, on the scale of the ratings, and with the model it started from."""
    model, guess, *start = found.rows
    mae = model.figures["mae"].value
    sentences = is_calibrated * [
        f"Its scores are off by {mae:.2f} points on average; the mean of all ratings, predicted for every"
        f" picture, is off by {guess.figures['mae'].value:.2f}."
    ]
    return sentences + [_on_start(row, found.images) for row in start if row.figures["srcc"].is_defined]


def _on_start(row: Row, images: int) -> str:
    gain = row.differences["srcc"]
    before = f"The model it started from has an SRCC of {_shown(row.figures['srcc'], images)}"
    if is_clear(row):
        return f"{before}: training has helped."
    if gain.low > 0:
        return f"{before}: training has made it worse."
    return f"{before}: whether training has helped is not clear."


def _shown(figure: Interval, images: int) -> str:
    digits = 2 if images < FEW_IMAGES else 3
    if np.isnan(figure.low):
        return f"{figure.value:.{digits}f}"
    return f"{figure.value:.{digits}f} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"

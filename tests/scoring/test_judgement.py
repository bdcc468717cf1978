"""nimakit.scoring.judgement: whether a model is good enough, and why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.labels.ratings import Ratings
from nimakit.scoring.comparison import Predictions
from nimakit.scoring.evaluation import Evaluation, of_predictions
from nimakit.scoring.judgement import START, Judgement, chief, judge, predictions_of_start
from nimakit.stats.histogram import FloatArray, default_bins, normalise

BINS = default_bins(7)
RATERS = 8
_QUALITY = np.random.default_rng(0).normal(4, 0.8, 120)


def _evaluation(noise: float, *, count: int = 120, counted: bool = True, **changes: Any) -> Evaluation:
    """Predictions of pictures whose quality eight people judge with an error of one point."""
    random = np.random.default_rng(1)
    quality = _QUALITY[:count]
    given = np.clip(np.round(quality[:, None] + random.normal(size=(count, RATERS))), 1, 7)
    labels = normalise((given[:, :, None] == BINS).sum(axis=1))
    return of_predictions(
        image_ids=[str(row) for row in range(count)],
        paths=[Path(f"{row}.jpg") for row in range(count)],
        labels=labels,
        label_bins=BINS,
        means=np.clip(quality + random.normal(size=count) * noise, 1, 7),
        sds=None,
        histograms=None,
        bins=BINS,
        counts=np.full(count, float(RATERS)) if counted else None,
        **changes,
    )


def _judge(evaluation: Evaluation, start: FloatArray | None = None) -> Judgement:
    before = None if start is None else Predictions(name=START, means=start)
    return judge("test", evaluation, BINS, start=before, resamples=60)


@pytest.mark.parametrize(
    ("noise", "answer"),
    [
        (0, "As good as these ratings can show"),
        (0.5, "Good enough"),
        (2.2, "Good for ranking at most"),
        (40, "Not good enough"),
    ],
)
def test_answers_whether_the_model_is_good_enough(noise: float, answer: str) -> None:
    """From a model that ranks by chance to one that no rating can tell from a perfect one."""
    found = _judge(_evaluation(noise))
    assert found.answer == answer
    assert "[" in found.reasons[0], "an interval"
    if noise == 40:
        assert "may be chance" in found.reasons[0]


def test_counts_the_ratings_that_a_score_is_worth() -> None:
    """A predictor with the error of one person is worth one rating; with half the variance, two."""
    for ratings in (1, 2):
        worth = _judge(_evaluation(ratings**-0.5)).worth
        assert worth is not None
        assert worth.low < ratings < worth.high


def test_single_ratings_tell_lenient_raters_from_those_who_disagree() -> None:
    """The ceiling is higher, and a score is worth fewer ratings; they do not count if an image has none."""
    random, evaluation = np.random.default_rng(1), _evaluation(0.5)
    levels = np.repeat([-1.0, 1.0], RATERS // 2)
    given = np.clip(np.round(_QUALITY[:, None] + levels + random.normal(size=(120, RATERS))), 1, 7)
    labels = normalise((given[:, :, None] == BINS).sum(axis=1))
    ratings = Ratings.of(
        (str(image), str(user), given[image, user], np.nan) for image, user in np.ndindex(given.shape)
    )
    by_counts, by_ratings, partly = (
        judge("test", replace(evaluation, labels=labels), BINS, ratings=some, resamples=20)
        for some in (None, ratings, ratings.only(ratings.image > 0))
    )
    assert by_counts.comparison.ceiling is not None
    assert by_ratings.comparison.ceiling is not None
    reached = np.corrcoef(given.mean(axis=1), _QUALITY)[0, 1]
    assert by_ratings.comparison.ceiling == pytest.approx(reached, abs=0.04)
    assert by_counts.comparison.ceiling < by_ratings.comparison.ceiling - 0.04
    assert by_ratings.worth is not None
    assert by_counts.worth is not None
    assert by_ratings.worth.value < by_counts.worth.value
    assert partly.worth == by_counts.worth


def test_compares_with_a_guess_of_the_mean_and_the_model_it_started_from() -> None:
    """Differences are to the model, and a guess that is the same for all pictures has no SRCC."""
    evaluation = _evaluation(0.5)
    found = _judge(evaluation, evaluation.means + np.random.default_rng(2).normal(0, 2, 120))
    model, guess, start = found.comparison.rows
    assert found.comparison.reference == model.name
    assert not guess.figures["srcc"].is_defined
    assert guess.differences["mae"].low > 0
    assert start.differences["srcc"].high < 0
    assert any("training has helped" in reason for reason in found.reasons)
    assert any("the mean of all ratings, predicted for every picture, is off by" in r for r in found.reasons)


def test_a_model_that_training_made_worse_is_not_good_enough() -> None:
    """Whatever its own figures are."""
    found = _judge(_evaluation(0.8), _QUALITY)
    assert found.answer == "Not good enough"
    assert "the model it started from is better" in found.reasons[0]


def test_does_not_judge_by_too_few_pictures_or_by_those_learned_from() -> None:
    """Such figures say little about other pictures."""
    assert _judge(_evaluation(0.1, count=29)).answer == "Too few pictures to tell"
    evaluation = _evaluation(0.1)
    object.__setattr__(evaluation.metrics, "training_images", 1)
    assert _judge(evaluation).answer == "Unknown"


def test_without_numbers_of_ratings_the_ceiling_is_unknown() -> None:
    """The figures are still compared with a guess."""
    found = _judge(_evaluation(0.5, counted=False))
    assert (found.answer, found.worth, found.comparison.ceiling) == ("Better than guessing", None, None)


@pytest.mark.parametrize("count", [1, 2])
def test_judges_any_number_of_pictures(count: int) -> None:
    """A set may have a single picture."""
    assert _judge(_evaluation(0.5, count=count)).answer in ("Unknown", "Too few pictures to tell")


def test_judges_by_the_test_set_or_else_the_first() -> None:
    """A validation set helped to choose the model."""
    evaluation = _evaluation(0.5, count=2)
    assert chief({"validation": evaluation, "test": evaluation}) == "test"
    assert chief({"leave-one-out": evaluation, "validation": evaluation}) == "leave-one-out"
    assert chief({}) is None


def test_a_start_that_cannot_be_loaded_is_left_out(tmp_path: Path) -> None:
    """With a sentence that says why."""
    told: list[str] = []
    found = predictions_of_start(tmp_path / "gone.onnx", _evaluation(0.5, count=2), notify=told.append)
    assert found is None
    assert "gone.onnx" in told[0]

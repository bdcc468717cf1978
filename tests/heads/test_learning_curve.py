"""nimakit.heads.learning_curve: how well a head predicts, by how many ratings it learns from."""

import numpy as np
import pytest

from nimakit.config import EncoderConfig, HeadConfig
from nimakit.heads.cross_validation import assign_folds, out_of_fold
from nimakit.heads.learning_curve import FOLDS, LearningCurve, labels_of, measure, without_levels
from nimakit.labels.ratings import Ratings
from nimakit.stats.correlation import srcc
from nimakit.stats.histogram import Float32Array, mean

BINS = np.arange(1, 8.0)
PICTURES = 80


def rated(pictures: int, each: int, *, seed: int = 0, bias: float = 0.0) -> tuple[Float32Array, Ratings]:
    """Features of pictures, and ratings by people that follow them partly."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(pictures, 8)).astype(np.float32)
    quality = 4 + features @ random.normal(size=8) * 0.5
    image = np.repeat(np.arange(pictures), each)
    user = random.integers(0, 20, len(image))
    levels = bias * random.normal(size=20)
    rating = (quality[image] + levels[user] + random.normal(0, 1, len(image))).round().clip(1, 7)
    return features, Ratings(
        image_ids=tuple(map(str, range(pictures))),
        user_ids=tuple(map(str, range(20))),
        image=image,
        user=user,
        rating=rating,
        time=np.full(len(image), np.nan),
    )


@pytest.fixture(scope="module")
def data() -> tuple[Float32Array, Ratings]:
    """Pictures with four ratings each."""
    return rated(PICTURES, 4)


@pytest.fixture(scope="module")
def curve(data: tuple[Float32Array, Ratings]) -> LearningCurve:
    """Its learning curve."""
    return measure(*data, BINS)


def test_ends_where_a_fresh_cross_validation_does(
    data: tuple[Float32Array, Ratings], curve: LearningCurve
) -> None:
    """On the same folds, though variances are those of the first fold, and levels those of each."""
    features, ratings = data
    labels, counts = labels_of(without_levels(ratings, BINS), BINS)
    config = HeadConfig(head_only=True, encoders=(EncoderConfig(name="e"),))
    folds = assign_folds(PICTURES, FOLDS, 0)
    fresh = out_of_fold([features[None]], labels, BINS, folds=folds, config=config, counts=counts).means
    truth = mean(labels_of(ratings, BINS)[0], BINS)
    assert curve.srcc.value == pytest.approx(srcc(fresh, truth), abs=0.01)
    assert curve.values[-1] == pytest.approx(curve.srcc.value)


def test_other_folds_fall_into_the_interval(data: tuple[Float32Array, Ratings], curve: LearningCurve) -> None:
    """In at least four of five cases."""
    others = [measure(*data, BINS, seed=seed).srcc.value for seed in range(1, 6)]
    assert sum(curve.srcc.low <= other <= curve.srcc.high for other in others) >= 4


def test_rises_with_the_number_of_ratings(curve: LearningCurve) -> None:
    """Sizes are shares of all ratings, and more help where a few are not enough."""
    assert curve.sizes.tolist() == [40, 80, 160, 320]
    assert curve.values[0] < curve.values[-1]
    assert curve.laws is not None
    assert curve.laws.gain(320).high > 0.01


def test_more_ratings_add_nothing_where_each_picture_has_many() -> None:
    """Their means hardly change."""
    laws = measure(*rated(60, 200), BINS).laws
    assert laws is not None
    assert laws.gain(60 * 200).high < 0.01


def test_a_few_pictures_that_cannot_be_told_apart_are_not_ordered_backwards() -> None:
    """Their features have nothing to do with the ratings; averaged over studies, neither has the SRCC."""
    found = []
    for seed in range(6):
        _, ratings = rated(15, 3, seed=seed)
        noise = np.random.default_rng(100 + seed).normal(size=(15, 4)).astype(np.float32)
        found.append(measure(noise, ratings, BINS).srcc.value)
    assert np.mean(found) > -0.15


def test_the_levels_of_raters_are_removed() -> None:
    """Of which people are lenient or strict, nothing can be seen in a picture."""
    _, ratings = rated(PICTURES, 4, bias=2.0)
    corrected = without_levels(ratings, BINS)
    spread = [
        np.std([one.rating[one.user == user].mean() for user in range(20)]) for one in (ratings, corrected)
    ]
    assert spread[1] < 0.5 * spread[0]
    assert (corrected.rating >= 1).all()
    assert (corrected.rating <= 7).all()

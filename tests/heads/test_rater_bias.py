"""nimakit.heads.rater_bias: labels without the raters' biases."""

from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import LabelError
from nimakit.heads import rater_bias
from nimakit.labels.ratings import Ratings, to_counts
from nimakit.stats.histogram import mean, normalise

_BINS = np.arange(1, 10.0)


def _ratings(images: int = 40, raters: int = 12) -> tuple[Ratings, np.ndarray]:
    """Ratings in which each picture is rated by a third of the raters, and the pictures' true scores."""
    random = np.random.default_rng(0)
    quality, levels = random.uniform(4, 6, images), random.normal(0, 1.2, raters)
    rows = [
        (
            f"p{image}",
            f"r{rater}",
            float(np.clip(round(quality[image] + levels[rater] + noise), 1, 9)),
            np.nan,
        )
        for image in range(images)
        for rater, noise in zip(range(raters), random.normal(0, 0.3, raters), strict=True)
        if random.random() < 0.34 or rater == image % raters
    ]
    ratings = Ratings.of(rows)
    return ratings, quality[[int(name[1:]) for name in ratings.image_ids]]


def test_brings_labels_nearer_to_the_truth() -> None:
    """Where strict and lenient raters rated different pictures; and reports the better reliability."""
    ratings, quality = _ratings()
    labels = normalise(to_counts(ratings, _BINS))
    found = rater_bias.remove(ratings.image_ids, labels, _BINS, ratings)
    before, after = (np.corrcoef(mean(rows, _BINS), quality)[0, 1] for rows in (labels, found.histograms))
    assert after > before + 0.1
    assert found.before is not None
    assert found.after is not None
    assert found.after > found.before
    np.testing.assert_allclose(found.histograms.sum(axis=1), 1)
    assert found.counts.tolist() == np.bincount(ratings.image).tolist()
    assert "levels of 12 raters removed" in str(found)


def test_leaves_pictures_without_single_ratings_as_they_are() -> None:
    """Their number of ratings is unknown."""
    ratings, _ = _ratings()
    labels = normalise(np.ones((2, 9)))
    found = rater_bias.remove(["other", ratings.image_ids[0]], labels, _BINS, ratings)
    np.testing.assert_array_equal(found.histograms[0], labels[0])
    assert np.isnan(found.counts).tolist() == [True, False]


def test_refuses_ratings_without_raters(tmp_path: Path) -> None:
    """Without user_id there is nobody whose bias could be removed."""
    file = tmp_path / "ratings.csv"
    file.write_text("image_id,rating\na,3\n", encoding="utf-8")
    with pytest.raises(LabelError, match="user_id"):
        rater_bias.read_single_ratings(file, _BINS)

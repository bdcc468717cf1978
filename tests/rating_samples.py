"""Ratings made on the spot, for the tests of what is said about ratings."""

from collections.abc import Sequence

import numpy as np

from nimakit.labels.ratings import Ratings
from nimakit.stats.histogram import FloatArray


def make_ratings(rows: Sequence[tuple[str, str, float]], times: Sequence[float] | None = None) -> Ratings:
    """Ratings of rows of image_id, user_id, rating."""
    image_ids = tuple(dict.fromkeys(image_id for image_id, _, _ in rows))
    user_ids = tuple(dict.fromkeys(user_id for _, user_id, _ in rows))
    return Ratings(
        image_ids=image_ids,
        user_ids=user_ids,
        image=np.array([image_ids.index(row[0]) for row in rows], np.intp),
        user=np.array([user_ids.index(row[1]) for row in rows], np.intp),
        rating=np.array([row[2] for row in rows], np.float64),
        time=np.full(len(rows), np.nan) if times is None else np.array(times, np.float64),
    )


def simulated(
    images: int = 40,
    people: int = 30,
    *,
    share: float = 0.6,
    seed: int = 0,
    bias: Sequence[float] = (),
) -> Ratings:
    """Whole ratings from 1 to 7 of a part of all pictures by each person, some of them kinder than others.

    Args:
        images: Pictures, whose quality differs.
        people: People, who differ in level and have a taste of their own.
        share: Of the pictures that a person rates.
        seed: Of the chance in it.
        bias: Added to all ratings of the first people.
    """
    random = np.random.default_rng(seed)
    level = random.normal(0, 0.3, people)
    level[: len(bias)] += bias
    opinions = 4 + random.normal(0, 1, images) + level[:, None] + random.normal(0, 0.8, (people, images))
    return _of_matrix(np.where(random.random(opinions.shape) < share, opinions.round().clip(1, 7), np.nan))


def _of_matrix(matrix: FloatArray) -> Ratings:
    """Ratings of a (people, images) table with NaN for none."""
    return make_ratings(
        [(f"p{i}", f"u{u}", matrix[u, i]) for u, i in zip(*np.nonzero(~np.isnan(matrix)), strict=True)]
    )

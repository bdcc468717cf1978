"""nimakit.web.model.figures: the sentence that follows from the curve."""

import re

import numpy as np
import pytest

from nimakit.heads.learning_curve import LearningCurve
from nimakit.stats import learning_curve
from nimakit.stats.bootstrap import Interval
from nimakit.web.model.figures import advice

_SIZES = np.array([50.0, 100.0, 200.0, 400.0])


def curve(loss: float, *, noise: float = 0.002, ratings: int = 400) -> LearningCurve:
    """A curve that rises to 0.8."""
    values = 0.8 - loss * _SIZES**-0.5 + np.random.default_rng(0).normal(0, noise, (100, 4))
    laws = learning_curve.fit(_SIZES * ratings / 400, values)
    return LearningCurve(
        ratings=ratings,
        srcc=Interval(0.7, 0.6, 0.8),
        sizes=_SIZES,
        values=values[0],
        laws=laws,
    )


@pytest.mark.parametrize(
    ("loss", "unrated", "expected"),
    [
        (2.0, 10, r"^About 300 more ratings would add 0\.02 \(0\.0\d to 0\.0\d\)\.$"),
        (0.05, 10, r"^More ratings of these pictures will not help: .* less than 0\.01\.$"),
        (0.05, 0, r"Ratings of other pictures might\.$"),
        (0.9, 10, r"^Twice as many ratings would add about 0\.01 "),
    ],
)
def test_says_what_more_ratings_would_add(loss: float, unrated: int, expected: str) -> None:
    """A round number that adds 0.02, or how little they add."""
    found = advice(curve(loss), unrated)
    assert re.search(expected, found), found


def test_gives_no_advice_from_few_ratings() -> None:
    """Their interval is too wide."""
    assert advice(curve(2.0, ratings=99), 10) == ""

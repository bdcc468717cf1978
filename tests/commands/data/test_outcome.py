"""nimakit.commands.data.outcome: what the commands of `nimakit data` share."""

import numpy as np
import pytest

from nimakit.commands.data.outcome import scale


@pytest.mark.parametrize(
    ("bins", "formula"),
    [
        ([1, 2, 3], "score"),
        ([0, 1, 2], "score - 1"),
        ([2, 3], "score + 1"),
        ([0, 25, 50], "25 * score - 25"),
        ([0.5, 1.0, 1.5], "0.5 * score"),
        ([1, 2, 4], "by linear interpolation between the bins, of which the first is score 1"),
    ],
)
def test_says_how_a_score_becomes_a_rating(bins: list[float], formula: str) -> None:
    """Models score from 1 to the number of bins; the formula gives the rating that the bin stands for."""
    found = scale(np.array(bins, np.float64))
    assert found == {"bins": bins, "rating_of_score": formula}
    if "linear" not in formula:
        scores = np.arange(1, len(bins) + 1)
        np.testing.assert_allclose(eval(formula, {"score": scores}), bins)  # noqa: S307 - ours

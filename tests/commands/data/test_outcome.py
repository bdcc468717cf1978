"""nimakit.commands.data.outcome: what the commands of `nimakit data` share."""

import click
import numpy as np
import pytest

from nimakit.commands.data.outcome import Bins, Finite, scale


@pytest.mark.parametrize(
    ("text", "bins"),
    [
        ("1-10", list(range(1, 11))),
        (" 0 - 3 ", [0, 1, 2, 3]),
        ("-2-2", [-2, -1, 0, 1, 2]),
        ("0,25,50,75,100", [0, 25, 50, 75, 100]),
        ("0.5, 1, 2", [0.5, 1, 2]),
    ],
)
def test_bins_are_a_span_or_a_list(text: str, bins: list[float]) -> None:
    """A span goes in steps of one, a list may have any."""
    assert Bins().convert(text, None, None).tolist() == bins


@pytest.mark.parametrize(
    "text", ["", "5", "5-5", "10-1", "1,1", "2,1", "1,x", "nan,1", "1,inf", "a-b", "1-5000"]
)
def test_rejects_other_bins(text: str) -> None:
    """Fewer than two, not rising, or no numbers."""
    with pytest.raises(click.BadParameter, match="a rising list"):
        Bins().convert(text, None, None)


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


@pytest.mark.parametrize("text", ["nan", "0", "1.5", "x"])
def test_rejects_a_share_that_is_none(text: str) -> None:
    """NaN is in no range, though click lets it through."""
    with pytest.raises(click.BadParameter):
        Finite(0, 1, min_open=True).convert(text, None, None)

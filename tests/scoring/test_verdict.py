"""nimakit.scoring.verdict: a comparison in sentences."""

import numpy as np

from nimakit.scoring.comparison import FIGURES, Comparison, Row
from nimakit.scoring.cost import Cost
from nimakit.scoring.verdict import in_short
from nimakit.stats.bootstrap import Interval


def _row(name: str, srcc: float, lead: float, error: float, *, milliseconds: float = 100) -> Row:
    """A candidate, and by how much the best is ahead of it, plus or minus an error."""
    figure, difference = (
        Interval(srcc, srcc - 0.03, srcc + 0.03),
        Interval(-lead, -lead - error, error - lead),
    )
    return Row(
        name=name,
        figures=dict.fromkeys(FIGURES, figure),
        differences=dict.fromkeys(FIGURES, difference),
        folds=(),
        cost=Cost(preparation=0.0, features=milliseconds / 1000, head=None),
    )


def _comparison(*rows: Row, ceiling: float | None = 0.95) -> Comparison:
    return Comparison(
        images=605, rows=rows, best=rows[0].name, reference=rows[0].name, ceiling=ceiling, agreed_pairs=1
    )


def test_says_which_is_best_by_how_much_and_whether_that_is_clear() -> None:
    """A lead is clear if its interval excludes 0, even where the two intervals overlap."""
    best, following = _row("a", 0.83, 0, 0), _row("b", 0.81, 0.02, 0.01)
    first, second, third = in_short(_comparison(best, following))
    assert first == "a is the best, with an SRCC of 0.830 [0.800, 0.860] on 605 images."
    assert second == "It leads b by 0.020 [0.010, 0.030]: the difference is clear."
    assert third.startswith("Its PLCC is 0.830. A perfect model would reach 0.950")


def test_a_lead_that_may_be_chance_is_not_called_clear() -> None:
    """A cheap candidate that is not clearly worse is named; candidates that are clearly behind are, too."""
    rows = (
        _row("a", 0.83, 0, 0),
        _row("b", 0.82, 0.01, 0.02),
        _row("c", 0.815, 0.015, 0.02, milliseconds=20),
        _row("d", 0.5, 0.33, 0.1),
    )
    sentences = in_short(_comparison(*rows, ceiling=None))
    assert sentences[1:] == [
        "Its lead over b, 0.010 [-0.010, 0.030], is not clear: it may be chance.",
        "Nor is c clearly behind.",
        "Clearly behind: d.",
        "c takes 20 ms an image instead of 100 ms, and is not clearly worse.",
    ]


def test_at_the_ceiling_only_more_ratings_help() -> None:
    """Better models cannot be told apart by ratings that chance has moved."""
    assert in_short(_comparison(_row("a", 0.83, 0, 0), ceiling=0.84))[-1].endswith(
        "could show a better model."
    )


def test_a_figure_that_is_not_defined_is_no_best() -> None:
    """Predictions that are all equal have no SRCC."""
    [sentence] = in_short(_comparison(_row("a", np.nan, 0, 0)))
    assert "No candidate has an SRCC" in sentence

"""nimakit.labels.sets: what label files hold, parts of them, and several in one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import LabelError, UsageError
from nimakit.labels import sets
from nimakit.labels.label_file import Labels
from nimakit.stats import histogram


def _labels(names: str, counts: Sequence[Sequence[float]]) -> Labels:
    table = np.array(counts, np.float64)
    return Labels(tuple(names), histogram.normalise(table), table)


COUNTS = _labels("abc", [[1, 2, 3], [4, 0, 0], [0, 2, 2]])
SHARES = _labels("de", [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
NAMES = Labels(("a", "b"), None)
HERE = Path("labels.json")


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ([[1, 2, 3]], "counts"),
        ([[0, 1, 0], [1, 0, 0]], "counts"),  # single ratings
        ([[0, 0.5, 0.5], [1, 2, 3]], "counts"),  # a single rating between two bins
        ([[0.2, 0.3, 0.5]], "shares"),
        ([[0.333, 0.333, 0.333]], "shares"),
        ([[0, 0.5, 0.5], [0.2, 0.3, 0.5]], "shares"),
        ([[0.2, 0.3, 0.5], [20, 30, 50]], "mixed"),
    ],
)
def test_tells_counts_and_shares_apart(counts: Sequence[Sequence[float]], kind: str) -> None:
    """A sum of 1 over more than two bins can only be shares."""
    assert sets.kind(np.array(counts, np.float64)) == kind


def test_only_keeps_order_and_counts() -> None:
    """Places and truth values both choose; counts stay as they were."""
    for chosen in ([0, 2], [True, False, True]):
        part = sets.only(COUNTS, chosen)
        assert part.image_ids == ("a", "c")
        assert part.counts is not None
        assert part.counts.tolist() == [[1, 2, 3], [0, 2, 2]]
    assert sets.only(NAMES, [1]) == Labels(("b",), None)


def test_means_are_on_the_bins_that_are_given() -> None:
    """By default 1, 2, ..."""
    assert sets.mean_ratings(COUNTS, HERE).tolist() == [pytest.approx(14 / 6), 1, 2.5]
    assert sets.mean_ratings(COUNTS, HERE, [0, 10, 20]).tolist() == [pytest.approx(80 / 6), 0, 15]
    with pytest.raises(UsageError, match=r"Received: 2, and labels\.json with 3 bins"):
        sets.mean_ratings(COUNTS, HERE, [1, 2])
    with pytest.raises(UsageError, match="only names images"):
        sets.mean_ratings(NAMES, HERE)


def test_raters_are_known_of_counts_alone() -> None:
    """Shares do not say how many rated."""
    assert sets.raters(COUNTS, HERE).tolist() == [6, 4, 4]
    with pytest.raises(UsageError, match=r"labels\.json, which has shares"):
        sets.raters(SHARES, HERE)


def test_merging_keeps_every_image_and_adds_the_ratings_of_one_in_several_files() -> None:
    """Counts are added image by image, in the order of first appearance."""
    other = _labels("xb", [[1, 1, 1], [1, 1, 0]])
    merged, repeated = sets.merge({Path("1"): COUNTS, Path("2"): other}, add=True)
    assert (merged.image_ids, repeated) == (("a", "b", "c", "x"), 1)
    assert merged.counts is not None
    assert merged.histograms is not None
    assert merged.counts.tolist() == [[1, 2, 3], [5, 1, 0], [0, 2, 2], [1, 1, 1]]
    assert merged.histograms.sum(axis=1) == pytest.approx(1)


def test_merging_files_of_names_gives_names() -> None:
    """Without labels there is nothing to add."""
    merged, repeated = sets.merge({Path("1"): NAMES, Path("2"): Labels(("b", "c"), None)}, add=True)
    assert (merged, repeated) == (Labels(("a", "b", "c"), None), 1)


def test_merging_shares_of_different_images_is_fine() -> None:
    """Nothing has to be added then."""
    merged, _ = sets.merge({Path("1"): SHARES, Path("2"): _labels("f", [[0.3, 0.3, 0.4]])}, add=False)
    assert merged.image_ids == ("d", "e", "f")


@pytest.mark.parametrize(
    ("second", "add", "message"),
    [
        (
            _labels("b", [[1, 2, 3]]),
            False,
            r"Received: 'b' in several; add up their ratings with --repeated add",
        ),
        (_labels("x", [[1, 2]]), True, r"1 \(3 bins, counts of ratings\); 2 \(2 bins, counts of ratings\)"),
        (SHARES, True, r"1 \(3 bins, counts of ratings\); 2 \(3 bins, shares\)"),
        (Labels(("x",), None), True, r"1 \(3 bins, counts of ratings\); 2 \(no labels\)"),
        (_labels("xy", [[1, 2, 3], [0.2, 0.3, 0.5]]), True, "counts and shares mixed"),
    ],
)
def test_refuses_to_merge_what_does_not_go_together(second: Labels, message: str, *, add: bool) -> None:
    """Other bins, shares with counts, and images in both unless they are to be added."""
    with pytest.raises(LabelError, match=message):
        sets.merge({Path("1"): COUNTS, Path("2"): second}, add=add)


def test_refuses_to_add_shares() -> None:
    """How they would weigh is unknown."""
    with pytest.raises(LabelError, match="'d', 'e' in several files with shares"):
        sets.merge({Path("1"): SHARES, Path("2"): SHARES}, add=True)


def test_lists_twenty_names() -> None:
    """A message stays of bounded length."""
    text = sets.listed([str(number) for number in range(25)])
    assert text.endswith("'19' and 5 more")

"""nimakit.labels.label_checks: what is odd about labels."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from nimakit.labels.label_checks import LabelCheck, check_labels, compare_labels
from nimakit.labels.label_file import Labels
from nimakit.stats import histogram


def _labels(counts: ArrayLike) -> Labels:
    table = np.asarray(counts, np.float64)
    names = tuple(f"i{number}" for number in range(len(table)))
    return Labels(names, histogram.normalise(table), table)


def _check(counts: ArrayLike, *, min_raters: int = 5) -> LabelCheck:
    found = check_labels(_labels(counts), min_raters=min_raters)
    assert found is not None
    return found


def _sound(count: int = 100, seed: int = 0) -> Any:
    """Counts of 20 to 40 ratings over five bins, means spread evenly."""
    random = np.random.default_rng(seed)
    shares = histogram.max_entropy(np.linspace(1.5, 4.5, count), np.arange(1, 6))
    return np.array([random.multinomial(random.integers(20, 41), share) for share in shares]).astype(float)


def test_sound_labels_have_figures_and_no_findings() -> None:
    """Ranges of ratings and raters, and how many images are in each tenth of the range."""
    counts = _sound()
    found = _check(counts)
    means = counts @ np.arange(1, 6) / counts.sum(axis=1)
    assert found.findings == ()
    assert (found.kind, found.bins, sum(found.tenths)) == ("counts", 5, 100)
    assert found.raters is not None
    assert (found.raters["min"], found.raters["max"]) == (counts.sum(axis=1).min(), counts.sum(axis=1).max())
    assert found.mean_rating["mean"] == pytest.approx(means.mean(), abs=1e-4)
    assert found.mean_rating["sd"] == pytest.approx(means.std(), abs=1e-4)
    assert found.tenths == np.histogram(means, 10)[0].tolist()


def _changed(change: str) -> Any:
    counts = _sound()
    if change == "mixed":
        counts[[3, 5]] = histogram.normalise(counts[[3, 5]])
    elif change == "few_raters":
        counts[[3, 5]] = [1, 1, 1, 1, 0]
    elif change == "one_bin":
        counts[[3, 5]] = [0, 0, 12, 0, 0]
    elif change == "uneven_raters":
        counts[[3, 5]] *= 20
    elif change == "odd_sums":
        counts[[3, 5]] += 0.1
    return counts


@pytest.mark.parametrize(
    ("change", "problem"),
    [("mixed", True), ("few_raters", True), ("one_bin", True), ("uneven_raters", False), ("odd_sums", False)],
)
def test_names_the_images_that_are_odd(change: str, *, problem: bool) -> None:
    """Those and no others."""
    found = {finding.rule: finding for finding in _check(_changed(change)).findings}
    assert found[change].image_ids == ("i3", "i5")
    assert found[change].problem is problem
    assert str(found[change]).endswith(": 'i3', 'i5'")
    assert set(found) == {change}


def test_how_few_raters_are_few_is_told() -> None:
    """A limit of 0 finds none."""
    counts = _changed("few_raters")
    assert [_check(counts, min_raters=limit).findings != () for limit in (0, 4, 5)] == [False, False, True]


def test_all_images_with_the_same_number_of_ratings_are_mentioned() -> None:
    """Labels that were scaled look so; single ratings have few raters instead."""
    counts = np.tile([4.0, 3, 2, 1, 0], (20, 1))
    counts[:10] = counts[:10, ::-1]
    assert "constant_raters" in {finding.rule for finding in _check(counts).findings}
    single = np.eye(5)[np.arange(20) % 5]
    assert {finding.rule for finding in _check(single).findings} == {"few_raters"}


def test_shares_have_no_raters_and_may_be_in_one_bin() -> None:
    """Who knows how many people that were: it is mentioned, and no problem."""
    shares = histogram.normalise(_sound())
    shares[4] = [0, 0, 1, 0, 0]
    found = _check(shares)
    assert (found.kind, found.raters) == ("shares", None)
    assert [(finding.rule, finding.problem) for finding in found.findings] == [("one_bin", False)]


def test_labels_that_are_all_alike_teach_nothing() -> None:
    """One mean rating for all images is a problem."""
    findings = _check(np.tile([5.0, 6, 7, 6, 5], (30, 1))).findings
    assert [finding.rule for finding in findings if finding.problem] == ["constant_rating"]


@pytest.mark.parametrize(("common", "problem"), [(800, False), (2000, True)])
def test_imbalance_is_mentioned_and_a_problem_where_it_is_extreme(common: int, *, problem: bool) -> None:
    """From nine tenths of all images with about the same rating."""
    rare = _sound(200)
    counts = np.concatenate([rare, np.tile([6.0, 7, 8, 7, 6], (common, 1))])
    (finding,) = [finding for finding in _check(counts).findings if finding.rule == "imbalance"]
    assert finding.problem is problem
    assert "balance_ratings" in finding.text


def test_problems_come_first() -> None:
    """Whatever else is worth saying."""
    counts = _changed("few_raters")
    counts[7] *= 20
    assert [finding.problem for finding in _check(counts).findings] == [True, False]


def test_a_file_of_names_has_no_labels() -> None:
    """There is nothing to check then."""
    assert check_labels(Labels(("a",), None), min_raters=5) is None


def test_files_on_different_bins_do_not_go_together() -> None:
    """They are no train and test file of one training."""
    (finding,) = compare_labels({"a": _check(_sound()), "b": _check(_sound()[:, :4] + 1)})
    assert (finding.rule, finding.problem) == ("bins", True)
    assert "a 5, b 4" in finding.text


def test_files_whose_ratings_are_far_apart_are_mentioned() -> None:
    """A random split leaves them close."""
    counts = _sound()
    assert compare_labels({"a": _check(counts[::2]), "b": _check(counts[1::2])}) == []
    (finding,) = compare_labels({"a": _check(counts[:50]), "b": _check(counts[50:])})
    assert (finding.rule, finding.problem) == ("shift", False)


def test_what_a_random_split_leaves_apart_is_no_finding() -> None:
    """Means of a few images differ by chance: random splits of 40 images are hardly ever mentioned."""
    counts = _sound(40)
    random = np.random.default_rng(0)
    orders = [random.permutation(40) for _ in range(100)]
    splits = [{"a": _check(counts[order[4:]]), "b": _check(counts[order[:4]])} for order in orders]
    assert sum(len(compare_labels(split)) for split in splits) <= 1

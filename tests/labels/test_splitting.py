"""nimakit.labels.splitting: parts of a set of images."""

from collections.abc import Sequence

import numpy as np
import pytest

from nimakit.errors import UsageError
from nimakit.labels.splitting import Part, draw, groups_by_pattern, join_groups, parse_part, split

TRAIN_TEST = (Part("train", None), Part("test", 0.2))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_each_image_is_in_one_part_and_no_group_is_torn(
    seed: int, *, stratified: bool, grouped: bool, timed: bool
) -> None:
    """Whatever the order is made from, parts are disjoint, hold all images, and groups stay whole."""
    random = np.random.default_rng(seed)
    count = int(random.integers(60, 300))
    groups = random.integers(0, count // 4, count)
    parts = (Part("a", 0.25), Part("b", None), Part("c", 12))
    found = split(
        count,
        parts,
        seed=seed,
        groups=groups if grouped else None,
        times=random.random(count) if timed else None,
        ratings=random.normal(5, 1, count) if stratified and not timed else None,
    )
    assert sorted(np.concatenate(found)) == list(range(count))
    if grouped:
        assert sum(len(set(groups[places])) for places in found) == len(set(groups))
    else:
        assert [len(places) for places in found] == [round(count / 4), count - round(count / 4) - 12, 12]


def test_a_seed_gives_the_same_split_and_another_seed_another() -> None:
    """The seed alone decides a random split."""
    first, again, other = (split(100, TRAIN_TEST, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("seed", range(5))
def test_a_stratified_part_has_its_share_of_every_tenth_of_the_ratings(seed: int) -> None:
    """Of each tenth a fifth is tested with, give or take one image."""
    ratings = np.random.default_rng(seed).gamma(2, 1, 1000)
    test = split(1000, TRAIN_TEST, seed=seed, ratings=ratings)[1]
    tenth = np.argsort(np.argsort(ratings)) // 100
    counts = np.bincount(tenth[test], minlength=10)
    assert len(test) == 200
    assert abs(counts - 20).max() <= 1


def test_a_stratified_split_is_still_random() -> None:
    """Which images of a tenth are drawn depends on the seed."""
    first, second = (split(500, TRAIN_TEST, seed=seed, ratings=np.arange(500))[1] for seed in (0, 1))
    assert len(set(first) & set(second)) < 60


def test_by_time_the_last_part_is_the_newest() -> None:
    """Every image of train is older than every image of test."""
    times = np.random.default_rng(0).permutation(50)
    train, test = split(50, TRAIN_TEST, times=times)
    assert times[train].max() < times[test].min()
    assert len(test) == 10


def test_a_group_counts_by_its_earliest_time() -> None:
    """A late image follows its group into the older part."""
    parts = (Part("train", 3), Part("test", 2))
    train, test = split(5, parts, groups=[0, 0, 1, 2, 3], times=[0, 99, 1, 2, 3])
    assert (train.tolist(), test.tolist()) == ([0, 1, 2], [3, 4])


def test_a_part_is_cut_at_the_nearest_end_of_a_group() -> None:
    """Groups of ten make parts of whole tens, as near as can be to what was asked for."""
    groups = np.repeat(np.arange(10), 10)
    found = split(100, (Part("train", 0.68), Part("test", None)), groups=groups)
    assert [len(places) for places in found] == [70, 30]


@pytest.mark.parametrize(
    ("sizes", "count", "message"),
    [
        ((0.5, 0.6), 10, "add up to all images"),
        ((0.5, 0.4), 10, "add up to all images"),
        ((8, 3), 10, "add up to all images"),
        ((None, None), 10, "add up to all images"),
        ((None, 11), 10, "add up to all images"),
        ((None, 0.01), 10, "none for 'part 1'"),
        ((None, 10), 10, "none for 'part 0'"),
        ((None,), 10, "two or more parts"),
    ],
)
def test_refuses_sizes_that_do_not_add_up(sizes: Sequence[float | None], count: int, message: str) -> None:
    """No image may be left over or wanted twice, and no part may stay empty."""
    with pytest.raises(UsageError, match=message):
        split(count, [Part(f"part {number}", size) for number, size in enumerate(sizes)])


def test_refuses_a_name_that_is_there_twice() -> None:
    """Two parts cannot go to one file."""
    with pytest.raises(UsageError, match="with different names"):
        split(10, (Part("a", 0.5), Part("a", 0.5)))


def test_refuses_a_group_that_leaves_nothing_for_a_part() -> None:
    """One group with all images cannot be split."""
    with pytest.raises(UsageError, match=r"none for .*, of 10 images in 1 groups"):
        split(10, TRAIN_TEST, groups=[0] * 10)


@pytest.mark.parametrize("shares", [(0.1, 0.2, 0.7), (0.7, 0.2, 0.1), (0.3, 0.3, 0.4)])
def test_shares_that_sum_to_one_but_for_rounding_are_all(shares: Sequence[float]) -> None:
    """0.1 + 0.2 + 0.7 is 1."""
    found = split(1000, [Part(str(number), share) for number, share in enumerate(shares)])
    assert [len(places) for places in found] == [round(share * 1000) for share in shares]


@pytest.mark.parametrize(
    "text", ["test", "test=", "test=0", "test=0.0", "test=1.5", "te st=1", "a/b=1", "=1", "a=-1"]
)
def test_refuses_a_text_that_is_no_part(text: str) -> None:
    """A part is a plain name, and a share, a number, or rest."""
    with pytest.raises(UsageError, match=r"NAME=SHARE, NAME=NUMBER or NAME=rest"):
        parse_part(text)


def test_a_pattern_without_parenthesis_is_the_group_itself() -> None:
    """Then all that it finds is the group."""
    assert groups_by_pattern(["lake1", "lake2", "sea1"], "[a-z]+") == ["lake", "lake", "sea"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "a regular expression"), (r"\d", "must match every image_id.* such as 'b'")],
)
def test_refuses_a_pattern_that_does_not_do(pattern: str, message: str) -> None:
    """A broken one, and one that leaves an image without a group."""
    with pytest.raises(UsageError, match=message):
        groups_by_pattern(["a1", "b"], pattern)


def test_groups_that_share_a_picture_become_one() -> None:
    """What is the same picture stays together, with the groups around it; unknown names do not matter."""
    joined = join_groups(
        ["x", "x", "y", "z", "w"], ["a", "b", "c", "d", "e"], [["b", "c"], ["c", "d"], ["?", "e"]]
    )
    assert joined[0] == joined[1] == joined[2] == joined[3] != joined[4]


def test_draws_the_same_part_for_the_same_seed() -> None:
    """As many as asked for, others for another seed, and never none or all."""
    drawn = draw(1000, 0.1, seed=3)
    assert drawn.sum() == 100
    np.testing.assert_array_equal(drawn, draw(1000, 0.1, seed=3))
    assert (drawn != draw(1000, 0.1, seed=4)).any()
    assert [int(draw(2, share, seed=0).sum()) for share in (0.01, 0.99)] == [1, 1]

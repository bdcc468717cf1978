"""nimakit.labels.balancing: rare ratings as often as common ones."""

import numpy as np
import pytest

from nimakit.labels.balancing import copies, copy_names, rating_groups


@pytest.mark.parametrize("seed", range(5))
def test_every_group_gets_as_many_as_the_fullest(seed: int) -> None:
    """Where nothing holds it back, each tenth of the range is there equally often."""
    means = np.concatenate([np.random.default_rng(seed).normal(5, 1, 400), np.linspace(1, 9, 41)])
    times = copies(means, most=1000, seed=seed)
    group = rating_groups(means, 10)
    assert set(np.bincount(group, times)) == {np.bincount(group).max()}
    assert times.min() == 1


def test_images_of_a_group_are_copied_about_equally_often() -> None:
    """No image of a group is there twice more than another."""
    means = [1.0] * 3 + [2.0] * 10
    times = copies(means, groups=2)
    assert sorted(times[:3]) == [3, 3, 4]
    assert times[3:].tolist() == [1] * 10


def test_no_image_is_there_more_than_the_most() -> None:
    """A single image of a rating is not repeated a hundred times."""
    times = copies([1.0] + [2.0] * 100, groups=2, most=4)
    assert times[0] == 4


def test_equal_ratings_are_one_group() -> None:
    """Without a range nothing is rare."""
    assert copies([3.0, 3.0]).tolist() == [1, 1]


def test_a_copy_takes_no_name_that_is_taken() -> None:
    """Names stay different, even where an image is called like a copy."""
    names = [name for own in copy_names(["a", "a~2", "a~3"], [3, 2, 1]) for name in own]
    assert len(set(names)) == 6

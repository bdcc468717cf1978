"""nimakit.scoring.disagreement: images on which candidates disagree, and those on which all err."""

import numpy as np

from nimakit.scoring.disagreement import Places

_PEOPLE = np.arange(1, 12.0)


def test_the_most_disputed_images_come_first() -> None:
    """By places, so a candidate that only uses another part of the scale disputes nothing."""
    moved = _PEOPLE.copy()
    moved[[0, 10]] = moved[[10, 0]]
    moved[[4, 6]] = moved[[6, 4]]
    assert Places.of(_PEOPLE, [_PEOPLE / 10 + 5, _PEOPLE]).disputed(8) == []
    assert Places.of(_PEOPLE, [_PEOPLE / 10 + 5, moved]).disputed(3) == [0, 10, 4]


def test_all_err_where_even_the_nearest_is_far_from_people() -> None:
    """An image that a single candidate places right is not among them."""
    first, second = _PEOPLE.copy(), _PEOPLE.copy()
    first[[1, 9]] = first[[9, 1]]
    second[[1, 8]] = second[[8, 1]]
    found = Places.of(_PEOPLE, [first, second])
    assert found.too_high(8) == [1]
    assert found.too_low(8) == []
    assert Places.of(_PEOPLE, [first]).too_low(8) == [9]

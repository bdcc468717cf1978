"""Rare ratings as often as common ones: how many times each image is to be there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.intp]


def rating_groups(means: ArrayLike, count: int) -> Indices:
    """The groups that images fall in by their mean rating: equal parts of the range of ratings.

    Args:
        means: (N,) mean ratings, at least one.
        count: How many parts, at least 1.

    Returns:
        (N,) from 0 to count - 1.

    >>> rating_groups([1, 2, 5], 4)
    array([0, 1, 3])
    """
    values = np.asarray(means, np.float64)
    return np.digitize(values, np.linspace(values.min(), values.max(), count + 1)[1:-1])


def copies(means: ArrayLike, *, groups: int = 10, most: int = 10, seed: int = 0) -> Indices:
    """How many times each image is to be there, so that every group of ratings has as many as the largest.

    Args:
        means: (N,) mean ratings, at least one.
        groups: In how many parts the range of ratings is cut.
        most: An image is there at most so many times, even where its group stays smaller then.
        seed: Of the draw of those images that are there once more than others of their group.

    Returns:
        (N,) from 1 to most.
    """
    group = rating_groups(means, groups)
    sizes = np.bincount(group, minlength=groups)
    wanted = np.minimum(sizes.max(), sizes * most)
    times: Indices = (wanted // np.maximum(sizes, 1))[group]
    random = np.random.default_rng(seed)
    for number in np.flatnonzero(sizes):
        members = np.flatnonzero(group == number)
        times[random.permutation(members)[: wanted[number] % sizes[number]]] += 1
    return times


def copy_names(image_ids: Sequence[str], times: ArrayLike) -> list[list[str]]:
    """A name for each time an image is there: its own, and others that no image has.

    Args:
        image_ids: N different names.
        times: (N,) from 1.

    >>> copy_names(["a", "b", "b~2"], [1, 3, 1])
    [['a'], ['b', 'b~3', 'b~4'], ['b~2']]
    """
    taken = set(image_ids)
    names = []
    for image_id, count in zip(image_ids, np.asarray(times).tolist(), strict=True):
        own = [image_id]
        number = 2
        while len(own) < count:
            if f"{image_id}~{number}" not in taken:
                own.append(f"{image_id}~{number}")
            number += 1
        taken.update(own)
        names.append(own)
    return names

"""Balancing of ratings: how often to repeat each image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.intp]


def rating_groups(means: ArrayLike, count: int) -> Indices:
    """Divide images into groups that are equal parts of the range of mean ratings.

    Args:
        means: (N,) mean ratings, at least one.
        count: The number of groups, at least 1.

    Returns:
        (N,) from 0 to count - 1.

    >>> rating_groups([1, 2, 5], 4)
    array([0, 1, 3])
    """
    values = np.asarray(means, np.float64)
    return np.digitize(values, np.linspace(values.min(), values.max(), count + 1)[1:-1])


def copies(means: ArrayLike, *, groups: int = 10, most: int = 10, seed: int = 0) -> Indices:
    """How often to repeat each image so that every group of ratings gets as many images as the largest.

    Args:
        means: (N,) mean ratings, at least one.
        groups: The number of groups.
        most: Repeat an image at most this many times, even if its group then stays smaller.
        seed: Seed for the choice of images that are repeated once more than others of their group.

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
    """A name for each copy of an image: its own name, then names that no image has.

    Args:
        image_ids: N different names.
        times: (N,) number of copies, at least 1.

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

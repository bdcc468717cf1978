"""Label files as sets of images: kinds of labels, mean ratings, subsets and merging."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nimakit.errors import LabelError, UsageError, shortened
from nimakit.labels.label_file import Labels
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray, default_bins

Kind = Literal["counts", "shares", "mixed"]

_LISTED = 20
_KIND_WORDS = {"counts": "counts of ratings", "shares": "shares", "mixed": "counts and shares mixed"}
TOLERANCE = 0.01
"""How far the sum of rounded shares may be from 1."""


def kind(counts: FloatArray) -> Kind:
    """Whether labels count ratings, are shares of each bin, or are mixed.

    Args:
        counts: (N, bins), as in the file.

    >>> kind(np.array([[10, 20, 30], [0.2, 0.3, 0.5]]))
    'mixed'
    """
    if not is_shares(counts).any():
        return "counts"
    return "mixed" if (counts.sum(axis=1) > 1 + TOLERANCE).any() else "shares"


def is_shares(counts: FloatArray) -> NDArray[np.bool_]:
    """Which labels can only be shares: they sum to 1 and use more than two bins.

    With one or two bins, it may be a single rating that lies between them.

    Args:
        counts: (N, bins), as in the file.

    Returns:
        (N,) bool.
    """
    return np.asarray((np.abs(counts.sum(axis=1) - 1) <= TOLERANCE) & ((counts > 0).sum(axis=1) > 2))


def counts_of(labels: Labels, path: Path) -> FloatArray:
    """The labels as in the file: (N, bins).

    Args:
        labels: N images.
        path: Their file, for the message.

    Raises:
        UsageError: The file only names images.
    """
    if labels.counts is None:
        raise UsageError(f"This needs labels. Received: {path}, which only names images")
    return labels.counts


def raters(labels: Labels, path: Path) -> FloatArray:
    """Number of ratings of each image: (N,).

    Raises:
        UsageError: The labels are not counts.
    """
    counts = counts_of(labels, path)
    if kind(counts) != "counts":
        raise UsageError(
            "The number of ratings per image needs a label file that counts ratings. Received:"
            f" {path}, which has shares of each bin"
        )
    return np.asarray(counts.sum(axis=1))


def mean_ratings(labels: Labels, path: Path, bins: ArrayLike | None = None) -> FloatArray:
    """Mean rating of each image: (N,) float64.

    Args:
        labels: N images.
        path: Their file, for the message.
        bins: (bins,), the rating of each bin; None for 1, 2, ...

    Raises:
        UsageError: The file only names images, or has another number of bins.
    """
    count = counts_of(labels, path).shape[1]
    values = default_bins(count) if bins is None else np.asarray(bins)
    if len(values) != count:
        raise UsageError(
            f"--bins must have a rating for each bin of the label file. Received: {len(values)}, and {path}"
            f" with {count} bins"
        )
    return histogram.mean(histogram.normalise(counts_of(labels, path)), values)


def only(labels: Labels, places: ArrayLike) -> Labels:
    """A subset of the images.

    Args:
        labels: N images.
        places: (n,) their indices, or (N,) bool.
    """
    chosen = np.arange(len(labels.image_ids))[np.asarray(places)]
    return Labels(
        image_ids=tuple(labels.image_ids[place] for place in chosen),
        histograms=None if labels.histograms is None else labels.histograms[chosen],
        counts=None if labels.counts is None else labels.counts[chosen],
    )


def merge(files: Mapping[Path, Labels], *, add: bool) -> tuple[Labels, int]:
    """Merge label files, with the images in the order of their first appearance.

    Args:
        files: At least one.
        add: Whether to add up the counts of an image that is in several files; else it is refused.

    Returns:
        All images, and the number of repeated ones.

    Raises:
        LabelError: The files have different numbers of bins or kinds of labels; or an image is in several
            and its labels are not or cannot be added up.
    """
    _check_same_kind(files)
    times = Counter(name for labels in files.values() for name in labels.image_ids)
    places = {name: place for place, name in enumerate(times)}
    several = [name for name, count in times.items() if count > 1]
    repeated = sum(times.values()) - len(times)
    tables = [labels.counts for labels in files.values() if labels.counts is not None]
    if repeated and not add:
        raise LabelError(
            f"Each image must be in one file only. Received: {listed(several)} in several; add up"
            " their ratings with --repeated add"
        )
    if not tables:
        return Labels(tuple(places), None), repeated
    if repeated and kind(np.concatenate(tables)) != "counts":
        raise LabelError(
            "Only labels that count ratings can be added up. Received:"
            f" {listed(several)} in several files with shares"
        )
    counts = np.zeros((len(places), tables[0].shape[1]))
    for labels, table in zip(files.values(), tables, strict=True):
        counts[[places[name] for name in labels.image_ids]] += table
    return Labels(tuple(places), histogram.normalise(counts), counts), repeated


def _check_same_kind(files: Mapping[Path, Labels]) -> None:
    """Refuse files with different kinds of labels."""
    shapes: dict[str, Path] = {}
    for path, labels in files.items():
        counts = labels.counts
        shape = "no labels" if counts is None else f"{counts.shape[1]} bins, {_KIND_WORDS[kind(counts)]}"
        shapes.setdefault(shape, path)
    if len(shapes) > 1 or any("mixed" in shape for shape in shapes):
        raise LabelError(
            "Merged files must have the same number of bins, and either all counts or all shares."
            f" Received: {'; '.join(f'{path} ({shape})' for shape, path in shapes.items())}"
        )


def listed(names: Sequence[str]) -> str:
    """List names in a message: the first twenty, and how many more there are.

    >>> listed(["a", "b"])
    "'a', 'b'"
    """
    return shortened([repr(name) for name in names], _LISTED)

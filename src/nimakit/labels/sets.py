"""Label files as sets of images: what they hold, parts of them, and several in one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nimakit.errors import LabelError, UsageError
from nimakit.labels.label_file import Labels
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray, default_bins

Kind = Literal["counts", "shares", "mixed"]

_LISTED = 20
TOLERANCE = 0.01
"""How far shares that were rounded may be from a sum of 1."""


def kind(counts: FloatArray) -> Kind:
    """Whether labels count ratings, or give the share of each bin, or some this and some that.

    Args:
        counts: (N, bins), as the file has them.

    >>> kind(np.array([[10, 20, 30], [0.2, 0.3, 0.5]]))
    'mixed'
    """
    if not is_shares(counts).any():
        return "counts"
    return "mixed" if (counts.sum(axis=1) > 1 + TOLERANCE).any() else "shares"


def is_shares(counts: FloatArray) -> NDArray[np.bool_]:
    """Which labels can only be shares: they sum to 1, over more than two bins.

    Over one or two bins it may be a single rating, which lies between them.

    Args:
        counts: (N, bins), as the file has them.

    Returns:
        (N,) bool.
    """
    return np.asarray((np.abs(counts.sum(axis=1) - 1) <= TOLERANCE) & ((counts > 0).sum(axis=1) > 2))


def counts_of(labels: Labels, path: Path) -> FloatArray:
    """The labels as the file has them: (N, bins).

    Args:
        labels: N images.
        path: Their file, for the message.

    Raises:
        UsageError: The file names images only.
    """
    if labels.counts is None:
        raise UsageError(f"This needs labels. Received: {path}, which names images only")
    return labels.counts


def raters(labels: Labels, path: Path) -> FloatArray:
    """How many people rated each image: (N,).

    Raises:
        UsageError: The file does not say.
    """
    counts = counts_of(labels, path)
    if kind(counts) != "counts":
        raise UsageError(
            "How many rated an image is known of a label file that counts ratings. Received:"
            f" {path}, which has shares of each bin"
        )
    return np.asarray(counts.sum(axis=1))


def mean_ratings(labels: Labels, path: Path, bins: ArrayLike | None = None) -> FloatArray:
    """Mean rating of each image: (N,) float64.

    Args:
        labels: N images.
        path: Their file, for the message.
        bins: (bins,), the rating each bin stands for; None for 1, 2, ...

    Raises:
        UsageError: The file names images only, or has another number of bins.
    """
    count = counts_of(labels, path).shape[1]
    values = default_bins(count) if bins is None else np.asarray(bins)
    if len(values) != count:
        raise UsageError(
            f"--bins has a rating for each bin of the label file. Received: {len(values)}, and {path} with"
            f" {count} bins"
        )
    return histogram.mean(histogram.normalise(counts_of(labels, path)), values)


def only(labels: Labels, places: ArrayLike) -> Labels:
    """Some of the images.

    Args:
        labels: N images.
        places: (n,) places among them, or (N,) bool.
    """
    chosen = np.arange(len(labels.image_ids))[np.asarray(places)]
    return Labels(
        image_ids=tuple(labels.image_ids[place] for place in chosen),
        histograms=None if labels.histograms is None else labels.histograms[chosen],
        counts=None if labels.counts is None else labels.counts[chosen],
    )


def merge(files: Mapping[Path, Labels], *, add: bool) -> tuple[Labels, int]:
    """Several label files in one, images in the order of their first appearance.

    Args:
        files: At least one.
        add: Whether the counts of an image that is in several files are added; else it is refused.

    Returns:
        All images, and how many of them are in several files.

    Raises:
        LabelError: Files with different numbers of bins, some with shares and some with counts, some with
            labels and some without; or an image in several, with labels that are not or cannot be added.
    """
    _alike(files)
    places: dict[str, int] = {}
    for labels in files.values():
        for name in labels.image_ids:
            places.setdefault(name, len(places))
    repeated = sum(len(labels.image_ids) for labels in files.values()) - len(places)
    tables = [labels.counts for labels in files.values() if labels.counts is not None]
    if repeated and not add:
        raise LabelError(
            f"Each image is in one of the files. Received: {_repeated(list(files.values()))} in several;"
            " --repeated add adds up their ratings"
        )
    if not tables:
        return Labels(tuple(places), None), repeated
    if repeated and kind(np.concatenate(tables)) != "counts":
        raise LabelError(
            "Ratings are added up where labels count them. Received:"
            f" {_repeated(list(files.values()))} in several files with shares, which do not say how many"
            " people rated"
        )
    counts = np.zeros((len(places), tables[0].shape[1]))
    for labels, table in zip(files.values(), tables, strict=True):
        counts[[places[name] for name in labels.image_ids]] += table
    return Labels(tuple(places), histogram.normalise(counts), counts), repeated


def _alike(files: Mapping[Path, Labels]) -> None:
    """Refuse files that cannot stand in one."""
    shapes: dict[str, Path] = {}
    for path, labels in files.items():
        counts = labels.counts
        shape = "no labels" if counts is None else f"{counts.shape[1]} bins, {_words(kind(counts))}"
        shapes.setdefault(shape, path)
    if len(shapes) > 1 or any("mixed" in shape for shape in shapes):
        raise LabelError(
            "Files that are merged have the same number of bins, and all count ratings or all give shares."
            f" Received: {'; '.join(f'{path} ({shape})' for shape, path in shapes.items())}"
        )


def _words(found: Kind) -> str:
    return {"counts": "counts of ratings", "shares": "shares", "mixed": "counts and shares mixed"}[found]


def _repeated(several: Sequence[Labels]) -> str:
    """Images that are in several files, the first twenty by name."""
    seen: set[str] = set()
    again: dict[str, None] = {}
    for labels in several:
        again |= dict.fromkeys(name for name in labels.image_ids if name in seen)
        seen |= set(labels.image_ids)
    return listed(list(again))


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first twenty, and how many more there are.

    >>> listed(["a", "b"])
    "'a', 'b'"
    """
    more = len(names) - _LISTED
    return ", ".join(map(repr, names[:_LISTED])) + (f" and {more} more" if more > 0 else "")

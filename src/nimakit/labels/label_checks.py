"""Checks of labels for mistakes and oddities that would harm training."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nimakit.labels import sets
from nimakit.labels.balancing import rating_groups
from nimakit.labels.label_file import Labels
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray, default_bins

_TENTHS = 10
_UNANIMOUS = 10
"""This many people do not all give the same rating by chance."""

_UNEVEN = 10
"""A factor by which counts of ratings differ only if they were made in different ways."""

_LOPSIDED = 0.9
"""From this share of the images in one tenth of the range there is almost nothing to learn."""

_RARE = 10
"""Report tenths of the range with this many times fewer images than the fullest."""

_SHIFT = 0.5
"""Report means of two files that are this many standard deviations apart."""

_CHANCE = 3
"""A random split does not put the means of two files this many standard errors apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A mistake or oddity of labels.

    Attributes:
        rule: Its name for programs: mixed, odd_sums, few_raters, one_bin, uneven_raters, constant_raters,
            constant_rating, imbalance, bins, shift.
        problem: Whether it should be fixed; else it is only good to know.
        text: A sentence without the full stop.
        image_ids: The images concerned; empty for all.
    """

    rule: str
    problem: bool
    text: str
    image_ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        images = f" ({len(self.image_ids)}): {sets.listed(self.image_ids)}" if self.image_ids else ""
        return self.text + images


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCheck:
    """The figures of a label file, and findings about it.

    Attributes:
        kind: Whether labels count ratings, are shares of each bin, or are mixed.
        bins: The number of bins.
        raters: min, median and max of the number of ratings per image; None if labels are not counts.
        mean_rating: min, mean, max and sd of the mean ratings, with bins 1, 2, ...
        tenths: How many images have a mean rating in each tenth of the range from lowest to highest.
        findings: Problems first.
    """

    kind: sets.Kind
    bins: int
    raters: dict[str, float] | None
    mean_rating: dict[str, float]
    tenths: list[int]
    findings: tuple[Finding, ...]

    def figures(self) -> dict[str, Any]:
        """All but the findings, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "findings"}


def check_labels(labels: Labels, *, min_raters: int) -> LabelCheck | None:
    """Check the labels of one file.

    Args:
        labels: N images.
        min_raters: Fewer ratings than this are a problem.

    Returns:
        The findings; None if the file only names images.
    """
    if labels.counts is None or labels.histograms is None:
        return None
    names, counts = labels.image_ids, labels.counts
    kind = sets.kind(counts)
    sums = counts.sum(axis=1)
    means = histogram.mean(labels.histograms, default_bins(counts.shape[1]))
    groups = rating_groups(means, _TENTHS)
    tenths = np.bincount(groups, minlength=_TENTHS)
    findings = [*_of_sums(names, counts, kind), *_of_one_bin(names, counts, kind), *_of_means(means, tenths)]
    if kind == "counts":
        findings += _of_raters(names, sums, min_raters)
    return LabelCheck(
        kind=kind,
        bins=counts.shape[1],
        raters=None if kind != "counts" else _figures(min=sums.min(), median=np.median(sums), max=sums.max()),
        mean_rating=_figures(min=means.min(), mean=means.mean(), max=means.max(), sd=means.std()),
        tenths=tenths.tolist(),
        findings=tuple(sorted(findings, key=lambda finding: not finding.problem)),
    )


def compare_labels(checks: dict[str, LabelCheck]) -> list[Finding]:
    """Find inconsistencies between label files.

    Args:
        checks: File -> its check, in order from training to test.
    """
    findings = []
    if len({check.bins for check in checks.values()}) > 1:
        bins = ", ".join(f"{name} {check.bins}" for name, check in checks.items())
        text = f"the files have different numbers of bins: {bins}"
        findings.append(Finding(rule="bins", problem=True, text=text))
        return findings
    for first, second in zip(list(checks)[:-1], list(checks)[1:], strict=True):
        a, b = checks[first].mean_rating, checks[second].mean_rating
        images = [sum(checks[name].tenths) for name in (first, second)]
        by_chance = _CHANCE * a["sd"] * (1 / images[0] + 1 / images[1]) ** 0.5
        if abs(a["mean"] - b["mean"]) > max(_SHIFT * a["sd"], by_chance) > 0:
            text = (
                f"the images of {second} are rated {b['mean']:.2f} on average, those of {first}"
                f" {a['mean']:.2f}: a random split would give more similar means"
            )
            findings.append(Finding(rule="shift", problem=False, text=text))
    return findings


def _figures(**values: Any) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}


def _found(
    names: Sequence[str], chosen: NDArray[np.bool_], rule: str, text: str, *, problem: bool
) -> list[Finding]:
    """A finding about the chosen images, if there are any."""
    image_ids = tuple(names[place] for place in np.flatnonzero(chosen).tolist())
    if not image_ids:
        return []
    return [Finding(rule=rule, problem=problem, text=text, image_ids=image_ids)]


def _of_sums(names: Sequence[str], counts: FloatArray, kind: sets.Kind) -> list[Finding]:
    sums = counts.sum(axis=1)
    if kind == "mixed":
        text = "labels that are shares of each bin while others count ratings: they cannot be combined"
        return _found(names, sets.is_shares(counts), "mixed", text, problem=True)
    whole = np.ones(len(sums)) if kind == "shares" else np.maximum(sums.round(), 1)
    text = "labels that sum to neither 1 nor a number of ratings"
    return _found(names, np.abs(sums - whole) > sets.TOLERANCE, "odd_sums", text, problem=False)


def _of_one_bin(names: Sequence[str], counts: FloatArray, kind: sets.Kind) -> list[Finding]:
    single = (counts > 0).sum(axis=1) == 1
    if kind == "counts":
        single &= counts.sum(axis=1) >= _UNANIMOUS
        text = f"labels of {_UNANIMOUS} or more ratings, all in one bin"
    else:
        text = "labels with all in one bin"
    return _found(names, single, "one_bin", text, problem=kind == "counts")


def _of_raters(names: Sequence[str], sums: FloatArray, min_raters: int) -> list[Finding]:
    median = float(np.median(sums))
    uneven = (sums > median * _UNEVEN) | (sums < median / _UNEVEN)
    few = f"images with fewer than {min_raters} ratings, too few for a reliable mean"
    odd = f"images with {_UNEVEN} times more or fewer ratings than the median of {median:g}"
    findings = _found(names, sums < min_raters, "few_raters", few, problem=True)
    findings += _found(names, uneven, "uneven_raters", odd, problem=False)
    if len(sums) > _TENTHS and sums.min() == sums.max() > 1:
        text = f"each image has exactly {median:g} ratings: are these counts, or scaled shares?"
        findings.append(Finding(rule="constant_raters", problem=False, text=text))
    return findings


def _of_means(means: FloatArray, tenths: NDArray[np.intp]) -> list[Finding]:
    if len(means) < _TENTHS:
        return []
    if np.ptp(means) < 1e-9:
        text = f"all images have the mean rating {means[0]:g}: there is nothing to learn"
        return [Finding(rule="constant_rating", problem=True, text=text)]
    most, least = int(tenths.argmax()), int(np.where(tenths > 0, tenths, tenths.max()).argmin())
    if tenths[most] <= _RARE * tenths[least]:
        return []
    edges = np.linspace(means.min(), means.max(), _TENTHS + 1)
    text = (
        f"{tenths[most]} images have mean ratings from {edges[most]:.2f} to {edges[most + 1]:.2f},"
        f" {tenths[least]} from {edges[least]:.2f} to {edges[least + 1]:.2f}: set balance_ratings in the"
        " training config to draw rare ones as often"
    )
    return [Finding(rule="imbalance", problem=bool(tenths[most] >= _LOPSIDED * len(means)), text=text)]

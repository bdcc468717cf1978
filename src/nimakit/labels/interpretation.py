"""Explanations of rating statistics in plain words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nimakit.labels.summary import Agreement, Summary
from nimakit.stats.raters import MIN_RATINGS

_RARE = 0.1
"""A class is rare below this share of the most frequent class."""

_GRADES = ((0.5, "poor"), (0.75, "moderate"), (0.9, "good"), (np.inf, "excellent"))
"""Upper limits of reliability: Koo and Li, "A Guideline of Selecting and Reporting Intraclass Correlation
Coefficients for Reliability Research", 2016."""

_ORDERS = {
    "excellent": "nearly the same",
    "good": "much the same",
    "moderate": "a similar",
    "poor": "a different",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of agreement.

    Attributes:
        name: The usual name of the figure.
        meaning: What it measures.
        value: As text; None if undefined.
        grade: A word such as "good"; empty if there is none.
    """

    name: str
    meaning: str
    value: str | None
    grade: str = ""


def grade(reliability: float) -> str:
    """Grade a reliability.

    >>> grade(0.8)
    'good'
    """
    return next(word for below, word in _GRADES if reliability < below)


def in_short(summary: Summary) -> list[str]:
    """The most important findings on a set of ratings, a sentence or two each."""
    return [
        *_on_means(summary),
        *_on_needs(summary),
        *_on_classes(summary),
        *_on_people(summary),
        *summary.notes,
    ]


def agreement_rows(summary: Summary) -> list[Row]:
    """The table of agreement, the most important figures for training first; empty if none is defined."""
    found = summary.agreement
    if found is None or found.within is None:
        return []
    error = None if summary.errors is None else f"{np.median(summary.errors):.2f}"
    scales = (("ordinal", "an order", found.alpha_ordinal), ("interval", "equal steps", found.alpha_interval))
    return [
        *(_split_half_rows(found) if summary.people or found.split_half else []),
        *_icc_rows(found),
        *(
            Row(
                f"Krippendorff's alpha, {level}",
                f"agreement of single ratings, read as {meaning}: 1 full, 0 chance, negative worse",
                _show(value),
            )
            for level, meaning, value in scales
        ),
        Row(
            "Standard error of a mean",
            "typical error of a picture's mean, in points of the scale (median over the pictures)",
            error,
        ),
    ]


def why_unlike(person: Mapping[str, Any]) -> str:
    """Explain why a person's ratings are unusual.

    Args:
        person: With `reasons` and `bias`, as in `nimakit.labels.summary.unlike_the_rest`.

    >>> why_unlike({"reasons": ["level", "constant"], "bias": -2.1})
    'far harsher, always the same rating'
    """
    words = {
        "level": "far kinder" if (person["bias"] or 0) > 0 else "far harsher",
        "taste": "far less in agreement",
        "constant": "always the same rating",
    }
    return ", ".join(words[reason] for reason in person["reasons"])


def _split_half_rows(found: Agreement) -> list[Row]:
    half = found.split_half
    splits = f", averaged over {half.splits} random splits" if half else ""
    return [
        _reliability(
            "Reliability by split halves",
            "how similar the means would be if as many other people rated: 1 identical, 0 unrelated"
            " (Spearman and Brown)",
            half.reliability if half else None,
        ),
        Row(
            "Split-half correlation",
            f"correlation of the means from one half of the people with those from the other half{splits}",
            _show(half.correlation if half else None),
        ),
    ]


def _icc_rows(found: Agreement) -> list[Row]:
    one, two = found.one_way, found.two_way
    count = f"{one.ratings:.0f}" if one else "all its"
    rows = [
        _reliability(
            "ICC(1,k)",
            f"reliability of a picture's mean of {count} ratings, from the variances",
            one.average if one else None,
        ),
        Row(
            "ICC(1)",
            "reliability of one rating: the share of all variation that comes from the pictures",
            _show(one.single if one else None),
        ),
    ]
    if two:
        rows += [
            _reliability(
                f"ICC({letter},k)",
                f"like ICC(1,k), {meaning}; of one rating {_show(icc.single)}",
                icc.average,
            )
            for letter, meaning, icc in (
                ("A", "with people's different levels counted as disagreement", two.agreement),
                ("C", "ignoring that some people always rate higher", two.consistency),
            )
        ]
    return rows


def _reliability(name: str, meaning: str, value: float | None) -> Row:
    return Row(name, meaning, _show(value), "" if value is None else grade(value))


def _show(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _on_means(summary: Summary) -> Iterator[str]:
    icc = summary.agreement.reliability if summary.agreement else None
    if icc and icc.average is not None:
        word = grade(icc.average)
        yield (
            f"The reliability of the mean ratings is {word} ({icc.average:.2f}; 1 is perfect): other people"
            f" would put the pictures in {_ORDERS[word]} order."
        )
    if icc and icc.single > 0:
        yield (
            f"{100 * icc.single:.0f} % of the variation between single ratings comes from the pictures; the"
            " rest is taste and chance, which no model can predict. The reliability of the means matters."
        )
    elif icc:
        yield "Pictures differ no more than by chance: a model finds nothing to learn here."


def _on_needs(summary: Summary) -> Iterator[str]:
    goals = [need for need in summary.needs if need.goal == "reliability"]
    missed = next((need for need in goals if need.images_short), None)
    need = missed or max(goals, key=lambda goal: goal.wanted, default=None)
    if need:
        sentence = f"For a reliability of {need.wanted:g} a picture needs {need.ratings_per_image:,} ratings"
        yield (
            f"{sentence}. {need.images_short:,} of {len(summary.pictures.means):,} pictures have fewer;"
            f" {need.ratings_missing:,} more ratings are needed in total."
            if missed
            else f"{sentence}; every picture has that many."
        )


def _on_classes(summary: Summary) -> Iterator[str]:
    classes, bins = summary.pictures.classes, summary.pictures.bins
    top = int(classes.argmax())
    empty = [f"{value:g}" for value, count in zip(bins, classes, strict=True) if not count]
    if len(bins) < len(summary.pictures.means):
        share = 100 * classes[top] / classes.sum()
        none = f"; none is near {' or '.join(empty)}" if empty else ""
        yield f"{share:.0f} % of the pictures have a mean near {bins[top]:g}{none}." + (
            " A model learns little from pictures it rarely sees: nimakit data balance repeats rare ones."
            if classes.min() < _RARE * classes[top]
            else ""
        )


def _on_people(summary: Summary) -> Iterator[str]:
    if summary.people and (summary.people.raters.shared >= MIN_RATINGS).any():
        apart = int(summary.people.outliers.any.sum())
        people = f"{len(summary.people.user_ids):,} people"
        yield (
            f"{apart:,} of {people} rate unlike the rest: see below."
            if apart
            else f"None of {people} rates very differently from the rest."
        )
    if summary.repeats:
        again = summary.repeats
        yield (
            f"When they rated a picture again ({again.ratings:,} times), people gave the same rating in"
            f" {100 * again.same:.0f} % of cases, and differed by {again.difference:.2f} points on average."
        )

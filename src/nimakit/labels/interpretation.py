"""What figures on people's ratings mean, in words for people who meet them for the first time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nimakit.labels.summary import Agreement, Summary
from nimakit.stats.raters import MIN_RATINGS

_RARE = 0.1
"""Of the most frequent class, below which a class is rare."""

_GRADES = ((0.5, "poor"), (0.75, "moderate"), (0.9, "good"), (np.inf, "excellent"))
"""Below which reliability is what: Koo and Li, "A Guideline of Selecting and Reporting Intraclass Correlation
Coefficients for Reliability Research", 2016."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of agreement.

    Attributes:
        name: As the field calls it.
        meaning: What it says.
        value: With its digits; None where it is not defined.
        grade: In a word; empty where none fits.
    """

    name: str
    meaning: str
    value: str | None
    grade: str = ""


def grade(reliability: float) -> str:
    """A reliability in a word.

    >>> grade(0.8)
    'good'
    """
    return next(word for below, word in _GRADES if reliability < below)


def in_short(summary: Summary) -> list[str]:
    """What matters most of a set of ratings, a sentence or two each."""
    return [
        *_on_means(summary),
        *_on_needs(summary),
        *_on_classes(summary),
        *_on_people(summary),
        *summary.notes,
    ]


def agreement_rows(summary: Summary) -> list[Row]:
    """The figures of agreement, those that matter most for training first; none where none is defined."""
    found = summary.agreement
    if found is None or found.within is None:
        return []
    rows = _split_half_rows(found) if summary.people or found.split_half else []
    rows += _icc_rows(found)
    rows += [
        Row(
            f"Krippendorff's alpha, {level}",
            f"agreement of single ratings, taken as {meaning}: 1 full, 0 as by chance, below 0 less",
            _show(value),
        )
        for level, meaning, value in (
            ("ordinal", "an order", found.alpha_ordinal),
            ("interval", "equal steps", found.alpha_interval),
        )
    ]
    errors = summary.errors
    rows.append(
        Row(
            "Standard error of a mean",
            "how far a picture's mean is typically off, in points of the scale (median over the pictures)",
            None if errors is None else f"{np.median(errors):.2f}",
        )
    )
    return rows


def why_unlike(person: Mapping[str, Any]) -> str:
    """Why somebody is unlike the rest.

    Args:
        person: With `reasons` and `bias`, as an entry of `nimakit.labels.summary.unlike_the_rest`.

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
    splits = f", on average over {half.splits} random splits" if half else ""
    return [
        _reliability(
            "Reliability by split halves",
            "how alike the means would be if as many other people rated: 1 the same, 0 not at all (Spearman"
            " and Brown)",
            half.reliability if half else None,
        ),
        Row(
            "Split-half correlation",
            f"of the means by one half of the people with those by the other{splits}",
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
            "reliability of one rating: the share of all differences that lies in the pictures",
            _show(one.single if one else None),
        ),
    ]
    if two:
        rows += [
            _reliability(
                f"ICC({letter},k)", f"as ICC(1,k), {meaning}; of one rating {_show(icc.single)}", icc.average
            )
            for letter, meaning, icc in (
                ("A", "told apart from people's own levels, which count as disagreement", two.agreement),
                ("C", "where it does not count that some people rate higher throughout", two.consistency),
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
        yield (
            f"The mean ratings are of {grade(icc.average)} reliability ({icc.average:.2f}; 1 is perfect):"
            f" other people would put the pictures in {_ORDERS[grade(icc.average)]} order."
        )
    if icc and icc.single > 0:
        yield (
            f"{100 * icc.single:.0f} % of the differences between single ratings lie in the pictures, the"
            " rest in taste and chance. No model foresees those: what counts is how steady the means are."
        )
    elif icc:
        yield "Pictures differ no more than chance would have it: a model finds nothing to learn here."


_ORDERS = {
    "excellent": "nearly the same",
    "good": "much the same",
    "moderate": "a similar",
    "poor": "another",
}


def _on_needs(summary: Summary) -> Iterator[str]:
    goals = [need for need in summary.needs if need.goal == "reliability"]
    short = next((need for need in goals if need.images_short), None)
    if short:
        yield (
            f"For a reliability of {short.wanted:g} a picture needs {short.ratings_per_image:,} ratings."
            f" {short.images_short:,} of {len(summary.pictures.means):,} pictures have fewer, and lack"
            f" {short.ratings_missing:,} together."
        )
    elif goals:
        need = max(goals, key=lambda goal: goal.wanted)
        yield (
            f"For a reliability of {need.wanted:g} a picture needs {need.ratings_per_image:,} ratings; every"
            " one has as many."
        )


def _on_classes(summary: Summary) -> Iterator[str]:
    classes, bins = summary.pictures.classes, summary.pictures.bins
    top = int(classes.argmax())
    empty = [f"{value:g}" for value, count in zip(bins, classes, strict=True) if not count]
    if len(bins) < len(summary.pictures.means):
        share = 100 * classes[top] / classes.sum()
        none = f"; none is near {' or '.join(empty)}" if empty else ""
        yield f"{share:.0f} % of the pictures have a mean near {bins[top]:g}{none}." + (
            " A model learns little of what it seldom sees: nimakit data balance repeats rare pictures."
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
            else f"None of {people} rates quite unlike the rest."
        )
    if summary.repeats:
        again = summary.repeats
        yield (
            f"Rating a picture again ({again.ratings:,} times), people gave the same rating in"
            f" {100 * again.same:.0f} % of cases, and were {again.difference:.2f} points off on average."
        )

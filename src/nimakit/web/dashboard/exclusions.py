"""Figures of a collection with and without its excluded raters."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from nimakit.labels import interpretation
from nimakit.stats.correlation import srcc
from nimakit.web.dashboard.statistics import (
    ComparisonStatistics,
    RatingStatistics,
    comparison_statistics,
    rating_statistics,
)
from nimakit.web.db.tables import Collection
from nimakit.web.study.exclusion import reasons_of

Found = RatingStatistics | ComparisonStatistics | None

_UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Who is excluded, and what that changes.

    Attributes:
        reasons: Rater id -> why they are excluded.
        figures: Name of each figure, its value with all raters, and without those excluded.
    """

    reasons: dict[int, str]
    figures: list[tuple[str, str, str]]


def exclusions_of(session: Session, collection: Collection, counted: Found) -> Exclusions | None:
    """Compare figures with and without the excluded raters; None if nobody is excluded.

    Args:
        session: From `Database.read`.
        collection: The collection.
        counted: Its statistics without excluded raters.
    """
    reasons = reasons_of(session, collection)
    if not reasons:
        return None
    compute = comparison_statistics if collection.compares else rating_statistics
    everyone: Found = compute(session, collection, everyone=True)
    all_rows, rows = _figures(everyone), _figures(counted)
    names = list(dict.fromkeys([*all_rows, *rows]))
    figures = [(name, all_rows.get(name, _UNKNOWN), rows.get(name, _UNKNOWN)) for name in names]
    return Exclusions(reasons, [*figures, *_order(everyone, counted)])


def _figures(found: Found) -> dict[str, str]:
    """Name -> value of each figure to compare."""
    if isinstance(found, RatingStatistics):
        pictures, people = found.summary.pictures, found.summary.people
        given = 0.0 if pictures.counts is None else float(pictures.counts.sum())
        rows = {"Ratings": f"{given:,.0f}", "People": f"{len(people.user_ids) if people else 0:,}"}
        rows["Mean of the pictures' means"] = f"{pictures.means.mean():.2f}"
        rows["Their standard deviation"] = f"{pictures.means.std():.2f}"
        return rows | {
            row.name: row.value or _UNKNOWN for row in interpretation.agreement_rows(found.summary)
        }
    if isinstance(found, ComparisonStatistics):
        rows = {"Comparisons": f"{found.votes.made:,}", "People": f"{len(found.people):,}"}
        if found.scores is not None:
            rows["Mean standard error of the scores"] = f"{found.scores.standard_error.mean():.3f}"
        if found.forecast is not None:
            rows["Reliability of the scores"] = f"{found.forecast.reliability:.2f}"
            rows["Neighbours in the right order"] = f"{100 * found.forecast.certainty:.0f} %"
        return rows
    return {}


def _order(everyone: Found, counted: Found) -> list[tuple[str, str, str]]:
    """How alike the pictures are ordered with and without the excluded raters."""
    first, second = _scores(everyone), _scores(counted)
    both = sorted(first.keys() & second.keys())
    alike = srcc(np.array([first[key] for key in both]), np.array([second[key] for key in both]))
    name = "Rank correlation of the two orders of the pictures"
    return [] if alike is None else [(name, "1", f"{alike:.3f}")]


def _scores(found: Found) -> dict[str, float]:
    if isinstance(found, RatingStatistics):
        pictures = found.summary.pictures
        return dict(zip(pictures.image_ids, pictures.means.tolist(), strict=True))
    if isinstance(found, ComparisonStatistics) and found.scores is not None:
        names = [found.comparisons.image_ids[place] for place in found.scores.images]
        return dict(zip(names, found.scores.score.tolist(), strict=True))
    return {}

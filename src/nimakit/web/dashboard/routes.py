"""The admin's dashboard of a collection: progress, agreement, raters and ranking."""

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flask import Blueprint, Response, abort, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.io.delimited import TableWriter
from nimakit.labels import interpretation
from nimakit.labels.comparisons import SCORE_COLUMNS, score_rows
from nimakit.labels.summary import People
from nimakit.stats.histogram import FloatArray, across_scale
from nimakit.stats.ranking import WANTED_CERTAINTY, Forecast
from nimakit.web.access import admin_only, current_collection
from nimakit.web.dashboard import charts
from nimakit.web.dashboard import progress as collection_progress
from nimakit.web.dashboard.statistics import ComparisonStatistics, RatingStatistics
from nimakit.web.db.tables import Collection, Image, Rater, now
from nimakit.web.services import services
from nimakit.web.transfer.exports import image_ids

blueprint = Blueprint("dashboard", __name__, url_prefix="/c/<slug>/dashboard")

_MAX_TILES = 24
_MAX_PEOPLE = 50
_MAX_RANKED = 50
_MAX_WAIT_FOR_FILE = 30.0
"""Seconds a download waits for statistics."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture of the contact sheet.

    Attributes:
        image: The picture.
        value: Mean rating, or the chance of being chosen over another picture.
        deviation: Standard deviation of the ratings; None where unknown.
        count: Number of ratings or comparisons.
    """

    image: Image
    value: float
    deviation: float | None
    count: int


@blueprint.get("")
@admin_only
def page(slug: str) -> ResponseReturnValue:
    """Show the dashboard, with the previous statistics, or none, if computing them takes too long."""
    shared = services()
    with shared.database.read() as session:
        collection = current_collection(session, slug)
        progress = collection_progress.progress_of(session, collection, now())
        statistics, is_current = shared.statistics.of(session, collection)
        noun = "comparisons" if collection.compares else "ratings"
        shown: dict[str, Any] = {}
        reasons = statistics.exclusions.reasons if statistics and statistics.exclusions else {}
        named = _named(session, [str(key) for key in list(reasons)[:_MAX_PEOPLE]])
        excluded = [(named[str(key)], why) for key, why in reasons.items() if str(key) in named]
        goal: Forecast | None = None
        if statistics and statistics.ratings:
            shown = _of_ratings(session, collection, statistics.ratings)
        elif statistics and statistics.comparisons:
            shown = _of_comparisons(session, collection, statistics.comparisons)
            goal = statistics.comparisons.forecast
    return render_template(
        "dashboard/page.html",
        collection=collection,
        progress=progress,
        goal=goal,
        wanted_certainty=WANTED_CERTAINTY,
        time_left=_duration(progress.hours_left),
        time_to_goal=_duration(progress.hours_for(goal.more)) if goal else None,
        by_count=charts.by_count(progress, noun, collection.wanted),
        noun=noun,
        statistics=statistics,
        is_current=is_current,
        excluded=excluded,
        **shown,
    )


@blueprint.get("/ranking.csv")
@admin_only
def ranking(slug: str) -> ResponseReturnValue:
    """Download the whole ranking, with the columns of nimakit data pairs --scores-file."""
    shared = services()
    with shared.database.read() as session:
        collection = current_collection(session, slug)
        statistics, is_current = shared.statistics.of(session, collection, patience=_MAX_WAIT_FOR_FILE)
        names = image_ids(session, collection)
    if not is_current:
        abort(503, "The ranking is still being computed. Try again in a minute.")
    found = statistics.comparisons if statistics else None
    if found is None or found.scores is None:
        abort(404, found.problem if found else "There is no ranking yet.")
    named = replace(
        found.comparisons, image_ids=tuple(names[int(key)] for key in found.comparisons.image_ids)
    )
    text = io.StringIO()
    table = TableWriter(text)
    for row in (SCORE_COLUMNS, *score_rows(named, found.scores)):
        table.row(row)
    answer = Response(text.getvalue(), mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=f"{slug}-ranking.csv")
    return answer


def _of_ratings(session: Session, collection: Collection, found: RatingStatistics) -> dict[str, Any]:
    summary, pictures = found.summary, found.summary.pictures
    keys = np.array(pictures.image_ids, np.int64)
    counts = np.zeros(len(keys)) if pictures.counts is None else pictures.counts
    return {
        "summary": summary,
        "sentences": interpretation.in_short(summary),
        "agreement": interpretation.agreement_rows(summary),
        "over_time": charts.over_time(found.times, "ratings"),
        "charts": [charts.given(summary), charts.means(summary)],
        "people": _raters(session, summary.people, found) if summary.people else [],
        "why_unlike": interpretation.why_unlike,
        "tiles": _tiles(
            session, collection, keys, values=pictures.means, deviations=pictures.deviations, counts=counts
        ),
    }


def _of_comparisons(session: Session, collection: Collection, found: ComparisonStatistics) -> dict[str, Any]:
    scores, given = found.scores, found.comparisons
    raters = _named(session, list(found.people)[:_MAX_PEOPLE])
    shown: dict[str, Any] = {
        "found": found,
        "over_time": charts.over_time(found.times, "comparisons"),
        "people": [(raters[key], votes) for key, votes in found.people.items() if key in raters],
        "tiles": [],
        "ranked": [],
    }
    if scores is None:
        return shown
    keys = np.array(given.image_ids, np.int64)
    order = np.argsort(-scores.score, kind="stable")[:_MAX_RANKED]
    images = _images(session, keys[scores.images[order]].tolist())
    columns = (
        scores.rank_low,
        scores.rank_high,
        scores.score,
        scores.standard_error,
        scores.chance,
        scores.won,
        scores.lost,
        scores.tied,
    )
    ranked = [images[key] for key in keys[scores.images[order]].tolist()]
    shown["ranked"] = list(zip(ranked, *(column[order].tolist() for column in columns), strict=True))
    unknown = np.full(len(scores.images), np.nan)
    shown["tiles"] = _tiles(
        session,
        collection,
        keys[scores.images],
        values=scores.chance,
        deviations=unknown,
        counts=scores.won + scores.lost + scores.tied,
    )
    return shown


def _raters(session: Session, people: People, found: RatingStatistics) -> list[dict[str, Any]]:
    """Rows of the table of raters: unusual ones first, then by number of ratings."""
    figures, apart = people.raters, people.outliers.any
    order = np.lexsort((-figures.counts, ~apart))[:_MAX_PEOPLE].tolist()
    raters = _named(session, [people.user_ids[row] for row in order])
    return [
        {
            "rater": raters[people.user_ids[row]],
            "ratings": int(figures.counts[row]),
            "bias": _known(figures.bias[row]),
            "spread": _known(figures.spread[row]),
            "consistency": _known(figures.consistency[row]),
            "reasons": people.outliers.reasons(row),
            "repeats": found.repeats.get(people.user_ids[row]),
        }
        for row in order
    ]


def _tiles(
    session: Session,
    collection: Collection,
    keys: Any,
    *,
    values: FloatArray,
    deviations: FloatArray,
    counts: Any,
) -> list[Tile]:
    """Pictures at even steps across the scale, from those that can be shown."""
    available = services().candidates.get(session, collection).images.astype(np.int64)
    rows = np.flatnonzero(np.isin(keys, available))
    rows = rows[across_scale(values[rows], _MAX_TILES)]
    images = _images(session, keys[rows].tolist())
    return [
        Tile(images[int(keys[row])], float(values[row]), _known(deviations[row]), int(counts[row]))
        for row in rows.tolist()
    ]


def _images(session: Session, keys: list[int]) -> dict[int, Image]:
    return {image.id: image for image in session.scalars(select(Image).where(Image.id.in_(keys)))}


def _named(session: Session, keys: list[str]) -> dict[str, Rater]:
    wanted = select(Rater).where(Rater.id.in_([int(key) for key in keys]))
    return {str(rater.id): rater for rater in session.scalars(wanted)}


def _duration(hours: float | None) -> str | None:
    return None if hours is None else collection_progress.describe_duration(hours)


def _known(value: Any) -> float | None:
    return round(float(value), 2) + 0.0 if np.isfinite(value) else None  # no -0.00

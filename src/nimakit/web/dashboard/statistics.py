"""Statistics of a collection: agreement and raters, or the ranking that follows from comparisons."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Double, cast, extract, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.labels import summary as data_summary
from nimakit.labels.ratings import Ratings
from nimakit.labels.summary import Summary
from nimakit.stats import raters
from nimakit.stats.bradley_terry import PRIOR_SD, Comparisons, Scores, fit, groups
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.ranking import Forecast, forecast
from nimakit.stats.raters import Repeats
from nimakit.web.dashboard.timeline import Timeline, timeline
from nimakit.web.db.outcomes import decided
from nimakit.web.db.queries import is_counted, is_shown, read_numbers
from nimakit.web.db.tables import (
    BY_ADMIN,
    CHOICE,
    CORRECTION,
    FIRST,
    REPEAT,
    SKIP,
    TIE,
    Choice,
    Collection,
    Event,
    Image,
    Rating,
)
from nimakit.web.transfer.picture_table import MAX_RANKED

_TAKEN_BACK = "taken back"


@dataclass(frozen=True, kw_only=True, slots=True)
class RatingStatistics:
    """Statistics of ratings. Pictures and raters are named by their ids, as text.

    Attributes:
        summary: Summary of the first ratings, as by the data commands, and of how well repeats agree with
            them.
        repeats: Agreement of repeats for each rater who has any.
        times: First ratings over time.
    """

    summary: Summary
    repeats: dict[str, Repeats]
    times: Timeline


@dataclass(frozen=True, kw_only=True, slots=True)
class Votes:
    """A rater's comparisons: those decided, ties among them, and those skipped."""

    made: int = 0
    ties: int = 0
    skipped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonStatistics:
    """Statistics of comparisons. Pictures and raters are named by their ids, as text.

    Attributes:
        people: Numbers of comparisons by rater, the most active first.
        comparisons: The pairs.
        scores: Bradley-Terry scores, as `nimakit data pairs` fits them to these pairs; None for `problem`.
        problem: Why there are no scores.
        forecast: How far the ranking of all pictures is, including those not compared yet; None where there
            are no scores.
        group_sizes: Sizes of the groups of pictures that comparisons link; the largest first.
        repeated: Number of comparisons that were shown again and decided both times.
        same: Number of those with the same outcome both times.
        times: First comparisons over time.
    """

    people: dict[str, Votes]
    comparisons: Comparisons
    scores: Scores | None
    problem: str
    forecast: Forecast | None
    group_sizes: list[int]
    repeated: int
    same: int
    times: Timeline

    @property
    def votes(self) -> Votes:
        """Totals over all raters."""
        people = self.people.values()
        return Votes(
            made=sum(votes.made for votes in people),
            ties=sum(votes.ties for votes in people),
            skipped=sum(votes.skipped for votes in people),
        )


def rating_statistics(
    session: Session, collection: Collection, *, everyone: bool = False
) -> RatingStatistics | None:
    """Compute the statistics of ratings; None where there are no first ratings.

    Args:
        session: From `Database.read`.
        collection: A collection whose pictures are rated.
        everyone: Whether excluded raters count as well.
    """
    wanted = select(
        *(Rating.image_id, Rating.rater_id, Rating.round),
        *(Rating.value, _seconds(Rating), Rating.event_id),
    ).where(Rating.collection_id == collection.id, Rating.value.is_not(None))
    if not everyone:
        wanted = wanted.where(is_counted(collection, Rating))
    rows = read_numbers(session, wanted)
    if not (rows[:, 2] == FIRST).any():
        return None
    rows = rows[np.lexsort((rows[:, 5], rows[:, 4]))]
    rows[np.isin(rows[:, 5], _timeless(session, collection)), 4] = np.nan
    image_ids, image = np.unique(rows[:, 0].astype(np.int64), return_inverse=True)
    user_ids, user = np.unique(rows[:, 1].astype(np.int64), return_inverse=True)
    turn, value = rows[:, 2], rows[:, 3]
    ratings = Ratings(
        image_ids=tuple(map(str, image_ids.tolist())),
        user_ids=tuple(map(str, user_ids.tolist())),
        image=image,
        user=user,
        rating=value,
        time=rows[:, 4],
    )
    summary = data_summary.of_ratings(ratings.only(turn == FIRST), collection.scale.bins)
    order = np.argsort(turn, kind="stable")
    image, user, value = image[order], user[order], value[order]
    return RatingStatistics(
        summary=replace(summary, repeats=raters.repeats(image, user, value)),
        repeats=_repeats_of_each(ratings.user_ids, image, user, value, again=turn[order] == REPEAT),
        times=timeline(rows[turn == FIRST, 4]),
    )


def comparison_statistics(
    session: Session, collection: Collection, *, everyone: bool = False
) -> ComparisonStatistics | None:
    """Compute the statistics of comparisons; None where there are none.

    Args:
        session: From `Database.read`.
        collection: A collection whose pictures are compared.
        everyone: Whether excluded raters count as well.
    """
    wanted = (
        select(
            Choice.rater_id,
            Choice.round,
            Choice.kind,
            Choice.shown,
            Choice.chosen,
            Choice.worst,
            Choice.event_id,
            Event.source,
            _seconds(Choice),
        )
        .join(Event, Event.id == Choice.event_id)
        .where(Choice.collection_id == collection.id)
        .order_by(Choice.occurred_at, Choice.event_id)
    )
    if not everyone:
        wanted = wanted.where(is_counted(collection, Choice))
    rows = session.execute(wanted).all()
    if not rows:
        return None
    made = [row for row in rows if row.kind != SKIP]
    counted = [row for row in made if row.round == FIRST]
    comparisons = _comparisons(counted)
    scores, problem = _ranked(comparisons)
    first = {(row.rater_id, frozenset(row.shown)): (row.chosen, row.worst) for row in counted}
    again = [
        first[key] == (row.chosen, row.worst)
        for row in made
        if row.round == REPEAT and (key := (row.rater_id, frozenset(row.shown))) in first
    ]
    times = np.array([row.seconds for row in counted], np.float64)
    times[np.isin([row.event_id for row in counted], _timeless(session, collection))] = np.nan
    return ComparisonStatistics(
        people=_votes(rows),
        comparisons=comparisons,
        scores=scores,
        problem=problem,
        forecast=_forecast(session, collection, comparisons, scores, len(counted)) if scores else None,
        group_sizes=[len(group) for group in groups(comparisons) if len(group)],
        repeated=len(again),
        same=sum(again),
        times=timeline(times),
    )


def _seconds(table: type[Rating | Choice]) -> Any:
    """Column with the time in seconds since 1970."""
    return cast(extract("epoch", table.occurred_at), Double).label("seconds")


def _timeless(session: Session, collection: Collection) -> list[int]:
    """Ids of the events of imports without times, which gave every row the time of the import."""
    is_one = (Event.source == "import", Event.occurred_at == Event.received_at)
    return list(session.scalars(select(Event.id).where(Event.collection_id == collection.id, *is_one)))


def _repeats_of_each(
    user_ids: tuple[str, ...], image: IntArray, user: IntArray, value: FloatArray, *, again: Any
) -> dict[str, Repeats]:
    found = {}
    for person in np.unique(user[again]).tolist():
        own = user == person
        repeats = raters.repeats(image[own], user[own], value[own])
        if repeats is not None:
            found[user_ids[person]] = repeats
    return found


def _comparisons(made: Sequence[Any]) -> Comparisons:
    pairs = [pair for row in made for pair in decided(row.kind, row.shown, row.chosen, row.worst)]
    indices: dict[int, int] = {}
    for image in (image for pair in pairs for image in (pair.left, pair.right)):
        indices.setdefault(image, len(indices))
    return Comparisons(
        image_ids=tuple(map(str, indices)),
        left=np.array([indices[pair.left] for pair in pairs], np.intp),
        right=np.array([indices[pair.right] for pair in pairs], np.intp),
        share=np.array([pair.share for pair in pairs], np.float64),
        weight=np.array([pair.weight for pair in pairs], np.float64),
    )


def _ranked(comparisons: Comparisons) -> tuple[Scores | None, str]:
    """Scores, or why there are none."""
    count = len(comparisons.image_ids)
    if not count:
        return None, "There are no comparisons yet."
    if count > MAX_RANKED:
        return None, (
            f"This page ranks up to {MAX_RANKED:,} pictures, but {count:,} were compared. Download the pairs"
            " and rank them with nimakit data pairs."
        )
    try:
        return fit(comparisons), ""
    except LabelError as error:
        return None, str(error)


def _forecast(
    session: Session, collection: Collection, comparisons: Comparisons, scores: Scores, made: int
) -> Forecast:
    shown = session.scalars(select(Image.id).where(is_shown(session, collection)))
    new = len({str(key) for key in shown}.difference(comparisons.image_ids))
    return forecast(
        np.append(scores.score, np.zeros(new)),
        np.append(scores.variance, np.full(new, PRIOR_SD**2)),
        differences=1.0 if comparisons.weight is None else float(comparisons.weight.sum()) / made,
    )


def _votes(rows: Sequence[Any]) -> dict[str, Votes]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.round == FIRST:
            is_taken_back = row.kind == SKIP and row.source in (CORRECTION, BY_ADMIN)
            counts[str(row.rater_id)][_TAKEN_BACK if is_taken_back else row.kind] += 1
    people = {
        rater: Votes(made=kinds[CHOICE] + kinds[TIE], ties=kinds[TIE], skipped=kinds[SKIP])
        for rater, kinds in counts.items()
    }
    return dict(sorted(people.items(), key=lambda item: -item[1].made))

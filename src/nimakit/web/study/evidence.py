"""What the checks and the answers of each rater say about how carefully they rate."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import case, select
from sqlalchemy.orm import Session

from nimakit.stats.best_worst import Pair
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.careless import conformity, conformity_of_ratings, evidence_of_checks
from nimakit.stats.histogram import IntArray
from nimakit.web.db.outcomes import decided
from nimakit.web.db.tables import (
    FIRST,
    REPEAT,
    SKIP,
    TIE,
    Attention,
    Choice,
    Collection,
    Event,
    Gold,
    Rating,
)

_ALIKE = -1
_MAX_COMPARED = 3000
"""Pictures whose comparisons are judged: the agreement of raters would take minutes for ten times as many."""


@dataclass(slots=True)
class Evidence:
    """What is known about one rater.

    Attributes:
        answers: First answers, without skips: a rating, or the place of the chosen picture (-1 for a tie).
        times: Milliseconds each of these took, where known.
        gold: For each gold picture answered, whether the answer was right.
        attention: For each attention check answered, whether it was passed.
        differences: Absolute differences between first and second ratings.
        agreement: Nats in favour of a careful rater, by agreement with the others and by checks; below 0 for
            one who answers at random.
        judged: Number of answers that the agreement is from: ratings, or comparisons by the weights of their
            pairs, without ties.
    """

    answers: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    gold: list[bool] = field(default_factory=list)
    attention: list[bool] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    agreement: float = 0.0
    judged: float = 0.0

    @property
    def gold_missed(self) -> int:
        """Number of gold pictures missed."""
        return self.gold.count(False)

    @property
    def attention_missed(self) -> int:
        """Number of attention checks missed."""
        return self.attention.count(False)

    @property
    def same(self) -> float:
        """Share of the most frequent answer among all; 0 without answers."""
        if not self.answers:
            return 0.0
        return float(np.unique(self.answers, return_counts=True)[1].max()) / len(self.answers)

    @property
    def median_seconds(self) -> float | None:
        """Median time per answer; None if no time is known."""
        return float(np.median(self.times)) / 1000 if self.times else None

    def faster(self, milliseconds: float) -> float:
        """Share of the answers whose time is known that took less; 0 without any."""
        return float((np.array(self.times) < milliseconds).mean()) if self.times else 0.0

    @property
    def difference(self) -> float | None:
        """Mean difference between first and second ratings; None without second ratings."""
        return float(np.mean(self.differences)) if self.differences else None


def evidence_of(session: Session, collection: Collection) -> dict[int, Evidence]:
    """What is known about each rater of a collection, by id, those who answered only checks among them.

    Args:
        session: From `Database.read`.
        collection: A collection whose pictures are rated or compared.
    """
    found: defaultdict[int, Evidence] = defaultdict(Evidence)
    attention = select(Attention.rater_id, Attention.passed).where(Attention.collection_id == collection.id)
    for rater, passed in session.execute(attention):
        found[rater].attention.append(passed)
    if collection.compares:
        chance = _compared(session, collection, found)
        steps = collection.choices
    else:
        chance = _rated(session, collection, found)
        steps = len(collection.scale.values)
    raters = list(found.values())
    checks = evidence_of_checks(*_counts(one.gold for one in raters), chance) + evidence_of_checks(
        *_counts(one.attention for one in raters), 1 / steps
    )
    for one, more in zip(raters, checks.tolist(), strict=True):
        one.agreement += more
    return dict(found)


def _counts(results: Iterable[Sequence[bool]]) -> tuple[IntArray, IntArray]:
    """(U,) each: numbers of checks passed and missed."""
    pairs = np.array([(sum(one), len(one) - sum(one)) for one in results], np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _rated(session: Session, collection: Collection, found: defaultdict[int, Evidence]) -> float:
    """Add what ratings say; returns the chance to be right about a gold picture by rating at random."""
    rows = session.execute(
        select(Rating.rater_id, Rating.image_id, Rating.round, Rating.value, _looked())
        .join(Event, Event.id == Rating.event_id)
        .where(Rating.collection_id == collection.id, Rating.value.is_not(None))
        .order_by(Rating.round, Rating.occurred_at)
    ).all()
    ranges = {
        image: (low, high)
        for image, low, high in session.execute(
            select(Gold.image_id, Gold.low, Gold.high).where(
                Gold.collection_id == collection.id, Gold.worse_id.is_(None)
            )
        )
    }
    first: dict[tuple[int, int], float] = {}
    for rater, image, turn, value, elapsed in rows:
        one = found[rater]
        if turn == REPEAT:
            if (rater, image) in first:
                one.differences.append(abs(value - first[rater, image]))
            continue
        first[rater, image] = value
        one.answers.append(value)
        if elapsed is not None:
            one.times.append(elapsed)
        if image in ranges:
            low, high = ranges[image]
            one.gold.append(low <= value <= high)
    if first:
        users, user = np.unique([rater for rater, _ in first], return_inverse=True)
        image = np.unique([image for _, image in first], return_inverse=True)[1]
        agreement = conformity_of_ratings(image, user, np.array(list(first.values())))
        for rater, nats in zip(users.tolist(), agreement.tolist(), strict=True):
            found[rater].agreement = nats
            found[rater].judged = len(found[rater].answers)
    values = np.array(collection.scale.values)
    hits = [((values >= low) & (values <= high)).mean() for low, high in ranges.values()]
    return float(np.clip(np.mean(hits), 1 / len(values), None)) if hits else 0.5


def _compared(session: Session, collection: Collection, found: defaultdict[int, Evidence]) -> float:
    """Add what comparisons say; returns the chance to be right about a gold picture by choosing at random."""
    rows = session.execute(
        select(Choice.rater_id, Choice.kind, Choice.shown, Choice.chosen, Choice.worst, _looked())
        .join(Event, Event.id == Choice.event_id)
        .where(Choice.collection_id == collection.id, Choice.round == FIRST, Choice.kind != SKIP)
        .order_by(Choice.occurred_at)
    ).all()
    gold = dict(
        session.execute(
            select(Gold.image_id, Gold.worse_id).where(
                Gold.collection_id == collection.id, Gold.worse_id.is_not(None)
            )
        ).all()
    )
    pairs = []
    for rater, kind, shown, chosen, worst, elapsed in rows:
        one = found[rater]
        one.answers.append(_ALIKE if kind == TIE else shown.index(chosen))
        if elapsed is not None:
            one.times.append(elapsed)
        for pair in decided(kind, shown, chosen, worst):
            pairs.append((rater, pair))
            if pair.right == gold.get(pair.left):
                one.gold.append(pair.share == 1)
            elif pair.left == gold.get(pair.right):
                one.gold.append(pair.share == 0)
    given = _comparisons(pairs)
    if given is not None:
        agreement = conformity(given)
        for place, name in enumerate(agreement.user_ids):
            one = found[int(name)]
            one.agreement = float(agreement.evidence[place])
            one.judged = float(agreement.comparisons[place])
    return 0.5


def _comparisons(pairs: Sequence[tuple[int, Pair]]) -> Comparisons | None:
    """Pairs with the ids of their raters as comparisons; None without any, or with too many pictures."""
    images, places = np.unique([pair[:2] for _, pair in pairs], return_inverse=True)
    if not pairs or len(images) > _MAX_COMPARED:
        return None
    users, user = np.unique([rater for rater, _ in pairs], return_inverse=True)
    places = places.reshape(-1, 2)
    return Comparisons(
        tuple(map(str, images.tolist())),
        places[:, 0],
        places[:, 1],
        np.array([pair.share for _, pair in pairs]),
        weight=np.array([pair.weight for _, pair in pairs]),
        user_ids=tuple(map(str, users.tolist())),
        user=user,
    )


def _looked() -> Any:
    """How long a rater looked, where it was measured and the answer was not corrected on a page."""
    return case((Event.source == "app", Event.elapsed_ms), else_=None).label("elapsed_ms")

"""The order in which a rater sees pictures: the collection's order, the rater's own shuffle, and repeats."""

import hashlib
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.queries import is_shown, read_numbers
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import FIRST, REPEAT, Collection, Image, Rater, Rating, Study
from nimakit.web.rating.checks import CheckPlan, answered_checks, plan_of, spread, with_attention

Item = TypeVar("Item")
Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

REPEAT_AFTER = 20
"""Least number of pictures between the first time a rater sees one and the second."""

_JUST_RATED = 5
"""Latest pictures that no attention check shows: seen again at once, they would look like a lost answer."""

_SECONDS_FRESH = 10.0
_PRIOR_RATINGS = 2.0
_PRIOR_SPREAD = 0.25
"""Prior standard deviation of the ratings of a picture, as a share of the scale, worth `_PRIOR_RATINGS`."""


class Pick(NamedTuple):
    """A picture to show.

    Attributes:
        image: Its id.
        round: `FIRST` or `REPEAT`.
        check: Number of the attention check that it is shown with; 0 for none.
    """

    image: int
    round: int
    check: int = 0


class NextPictures(NamedTuple):
    """The pictures a rater rates next, and their progress.

    Attributes:
        picks: Pictures to rate, in order.
        done: Number of pictures they have rated or skipped.
        skipped: Number of those they skipped.
        left: Number of pictures that are new to them and still need ratings.
    """

    picks: list[Pick]
    done: int
    skipped: int
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The pictures of a collection that can be shown, at one moment.

    Attributes:
        images: (N,) uint64, ascending ids.
        count: (N,) float64, number of ratings (or comparisons) of each.
        total: (N,) float64, sum of the ratings (or of the shares of comparisons won).
        uncertainty: (N,) float64, see `uncertainty`.
        predicted: (N,) bool, whether there is a predicted score.
        checks: Gold pictures and attention checks.
    """

    images: Keys
    count: Floats
    total: Floats
    uncertainty: Floats
    predicted: NDArray[np.bool_]
    checks: CheckPlan = field(default_factory=CheckPlan)

    def usable(self, collection: Collection) -> NDArray[np.bool_]:
        """(N,) bool, which can be shown now. The rate experiment needs a predicted score."""
        if collection.experiment == "rate":
            return self.predicted
        return np.ones(len(self.images), np.bool_)


class CandidateCache:
    """The candidates of each collection, at most a few seconds old."""

    def __init__(self) -> None:
        self._cached: dict[int, tuple[float, Candidates]] = {}

    def get(self, session: Session, collection: Collection) -> Candidates:
        """The candidates of a collection."""
        at, candidates = self._cached.get(collection.id, (-np.inf, None))
        # While nothing can be shown yet, a rater is waiting for the first picture.
        if (
            candidates is None
            or time.monotonic() - at > _SECONDS_FRESH
            or not candidates.usable(collection).any()
        ):
            at, candidates = time.monotonic(), _read(session, collection)
            self._cached[collection.id] = at, candidates
        return candidates

    def invalidate(self, collection_id: int) -> None:
        """Read a collection again at its next use: its pictures or settings changed."""
        self._cached.pop(collection_id, None)


def uncertainty(
    count: Floats, total: Floats, squares: Floats, *, position: Floats, spread: Floats, scale: Scale
) -> Floats:
    """How uncertain each picture's mean rating is, as a share of the scale.

    This is the standard error of the mean after one more rating (its variance shrunk towards the model's, or
    towards a quarter of the scale without one), plus the gap between the raters' mean and the model's,
    weighted less the more people rated.

    Args:
        count: (N,) number of ratings.
        total: (N,) sum of the ratings.
        squares: (N,) sum of their squares.
        position: (N,) predicted mean, from 0 to 1 of the scale; NaN for none.
        spread: (N,) predicted standard deviation, from 0 to 1 of the scale; NaN for none.
        scale: The scale of the ratings.

    Returns:
        (N,) float64, not below 0.
    """
    rated = np.maximum(count, 1)
    mean = (total / rated - scale.low) / scale.width
    scatter = np.maximum(squares - total**2 / rated, 0) / scale.width**2
    prior = np.where(np.isnan(spread), _PRIOR_SPREAD, spread) ** 2
    variance = (scatter + _PRIOR_RATINGS * prior) / (count + _PRIOR_RATINGS)
    gap = np.where((count > 0) & ~np.isnan(position), np.abs(mean - position), 0.0)
    return np.asarray(np.sqrt(variance / (count + 1)) + gap / (count + 1))


def shuffle_keys(images: Keys, rater: Rater, purpose: str = "order") -> Keys:
    """Sort keys of a rater's shuffle: the same on every device and day.

    Args:
        images: (N,) uint64, picture ids.
        rater: The rater, whose code is the seed.
        purpose: Shuffles for different purposes are independent.

    Returns:
        (N,) uint64, uniform: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
        Generators", 2014) of the ids and a seed.
    """
    seed = hashlib.sha256(f"{rater.code} {purpose}".encode()).digest()[:8]
    z = (images + np.uint64(int.from_bytes(seed))) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def next_pictures(
    session: Session,
    collection: Collection,
    rater: Rater,
    candidates: Candidates,
    amount: int,
    *,
    buffered: set[int],
    reserved: Floats,
    study: Study | None = None,
    checks: Set[int] = frozenset(),
) -> NextPictures:
    """Choose the pictures a rater rates next.

    Args:
        session: From `Database.read`.
        collection: The collection, with its order, repeats and ratings wanted.
        rater: The rater.
        candidates: The pictures of the collection.
        amount: Most pictures to choose.
        buffered: Pictures the browser already has, or whose ratings have not arrived yet.
        reserved: (N,) float64, number of other raters who have reserved each candidate.
        study: The study that limits the rater: its quota counts first answers, and pictures that were skipped
            return unless raters may skip. None for no limits.
        checks: Numbers of the attention checks that wait in the browser.

    Returns:
        The pictures, none if the rater is done.
    """
    rows = session.execute(
        select(Rating.image_id, Rating.round, Rating.value)
        .where(Rating.collection_id == collection.id, Rating.rater_id == rater.id)
        .order_by(Rating.occurred_at)
    ).all()
    quota, may_skip = (None, True) if study is None else (study.quota, study.may_skip)
    seen = {image for image, turn, value in rows if turn == FIRST and (may_skip or value is not None)}
    rated = [image for image, turn, value in rows if turn == FIRST and value is not None]
    wanted = np.inf if collection.wanted is None else collection.wanted
    is_gold = np.isin(candidates.images, np.fromiter(candidates.checks.gold, np.uint64))
    new = ~np.isin(candidates.images, np.fromiter(seen, np.uint64)) & (is_gold | (candidates.count < wanted))
    left = int(new.sum())
    new &= ~np.isin(candidates.images, np.fromiter(buffered, np.uint64))
    short = is_gold | (candidates.count + reserved < wanted)
    fresh = _ordered(collection, rater, candidates, new & short, reserved)
    if not len(fresh):  # other raters may never rate what they have reserved
        fresh = _ordered(collection, rater, candidates, new, reserved)
    if quota is not None:
        left = min(left, max(quota - len(seen), 0))
        fresh = fresh[: max(quota - len(seen | buffered), 0)]
    gold = candidates.images[new & is_gold & candidates.usable(collection)]
    start = len(rows) + len(buffered)
    due = [image for image in _due(collection, rater, candidates, rows, start) if image not in buffered]
    fresh = _with_gold(rater, fresh, gold, amount, every=candidates.checks.gold_every, start=start)
    picks = interleave(
        [Pick(int(image), FIRST) for image in fresh[:amount]],
        [Pick(image, REPEAT) for image in due[:amount]],
        share=collection.repeats,
        start=start,
    )
    every = candidates.checks.attention_every if len(candidates.images) else None
    away = {*rated[-_JUST_RATED:], *buffered, *(pick.image for pick in picks[:amount])}
    picks = with_attention(
        picks[:amount],
        every=every,
        start=start,
        asked=answered_checks(session, collection, rater) | checks if every else checks,
        is_end=len(picks) < amount,
        check=lambda number: _attention(rater, candidates, rated, away, number),
    )
    return NextPictures(picks, len(seen), len(seen) - len(rated), left)


def interleave(fresh: Sequence[Item], again: Sequence[Item], *, share: float, start: int) -> list[Item]:
    """Spread repeated items evenly among new ones, with the remaining repeats at the end.

    Args:
        fresh: New items, in order.
        again: Items to repeat, in order.
        share: Number of repeats per new item.
        start: Number of items shown before.

    Returns:
        All items.
    """
    every = round(1 / share) + 1 if share else 0
    items, repeats = list(fresh), list(again)
    for place in range(len(fresh) + len(again)):
        if repeats and (place >= len(items) or (start + place) % every == 0):
            items.insert(place, repeats.pop(0))
    return items


def _ordered(
    collection: Collection,
    rater: Rater,
    candidates: Candidates,
    chosen: NDArray[np.bool_],
    reserved: Floats,
) -> Keys:
    """Those of the chosen candidates that can be shown, in order. A reservation counts as a rating."""
    chosen = chosen & candidates.usable(collection)
    images = candidates.images[chosen]
    keys = shuffle_keys(images, rater)
    match collection.ordering:
        case "fewest":
            order = np.lexsort((keys, (candidates.count + reserved)[chosen]))
        case "active":
            order = np.lexsort((keys, -(candidates.uncertainty / (1 + reserved))[chosen]))
        case _:
            order = np.argsort(keys)
    return images[order]


def _with_gold(rater: Rater, fresh: Keys, gold: Keys, amount: int, *, every: int, start: int) -> Keys:
    """The first of the new pictures, in order, with the gold ones among them at even steps."""
    if not len(gold):
        return fresh
    others = fresh[~np.isin(fresh, gold)][:amount].tolist()
    waiting = gold[np.argsort(shuffle_keys(gold, rater, "gold"))].tolist()
    return np.array(spread(others, waiting, every=every, room=len(fresh), start=start), np.uint64)


def _attention(rater: Rater, candidates: Candidates, rated: list[int], away: set[int], number: int) -> Pick:
    """The attention check of a number, with a picture that was not rated just before and does not come next.

    If possible it is one that the rater has rated, else any other one.
    """
    earlier, other = np.array(rated, np.uint64), np.fromiter(away, np.uint64)
    earlier = earlier[np.isin(earlier, candidates.images) & ~np.isin(earlier, other)]
    others = candidates.images[~np.isin(candidates.images, other)]
    images = next((pool for pool in (earlier, others) if len(pool)), candidates.images)
    return Pick(int(images[np.argmin(shuffle_keys(images, rater, f"attention {number}"))]), FIRST, number)


def _due(
    collection: Collection, rater: Rater, candidates: Candidates, rows: Sequence[Any], start: int
) -> list[int]:
    """Pictures to show a rater again, those rated first at the front: `REPEAT_AFTER` others came since."""
    if not collection.repeats:
        return []
    repeated = {image for image, turn, _ in rows if turn == REPEAT}
    before = rows[: max(start - REPEAT_AFTER, 0)]
    images = np.array(
        [image for image, turn, value in before if turn == FIRST and value is not None], np.uint64
    )
    chosen = is_repeated(collection, rater, images) & np.isin(images, candidates.images)
    return [int(image) for image in images[chosen] if int(image) not in repeated]


def is_repeated(collection: Collection, rater: Rater, images: Keys) -> NDArray[np.bool_]:
    """Which pictures a rater is shown twice: a fixed random sample, `Collection.repeats` of all.

    Args:
        collection: The collection.
        rater: The rater.
        images: (N,) uint64, picture ids.

    Returns:
        (N,) bool.
    """
    return shuffle_keys(images, rater, "repeats") < np.uint64(collection.repeats * (2**64 - 1))


def _read(session: Session, collection: Collection) -> Candidates:
    unknown = -1.0  # outside the range of position and spread
    columns = (
        Image.id,
        Image.count,
        Image.total,
        Image.squares,
        func.coalesce(Image.position, unknown),
        func.coalesce(Image.spread, unknown),
    )
    wanted = select(*columns).where(is_shown(session, collection))
    rows = read_numbers(session, wanted.order_by(Image.id))
    images, count, total, squares, position, spread = rows.T.copy()
    position[position == unknown] = spread[spread == unknown] = np.nan
    return Candidates(
        images=images.astype(np.uint64),
        count=count,
        total=total,
        uncertainty=uncertainty(
            count, total, squares, position=position, spread=spread, scale=collection.scale
        ),
        predicted=~np.isnan(position),
        checks=plan_of(session, collection),
    )

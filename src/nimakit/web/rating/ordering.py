"""Which picture a rater sees next: the collection's order, the rater's own shuffle, and repeats."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import FIRST, OK, REPEAT, Collection, Image, Rater, Rating

Item = TypeVar("Item")
Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

REPEAT_AFTER = 20
"""Pictures a rater rates before one is shown again: by then the first answer is forgotten."""

_SECONDS_FRESH = 10.0
_PRIOR_RATINGS = 2.0
_PRIOR_SPREAD = 0.25
"""Before anybody rated, people are taken to spread by a quarter of the scale; it weighs as two ratings."""


class Pick(NamedTuple):
    """A picture to show.

    Attributes:
        image: Its id.
        round: `FIRST` or `REPEAT`.
    """

    image: int
    round: int


class Hand(NamedTuple):
    """What a rater is given.

    Attributes:
        picks: Pictures to rate, in order.
        done: Pictures they have rated or skipped.
        skipped: How many of those they skipped.
        left: How many are new to them and still wanted.
    """

    picks: list[Pick]
    done: int
    skipped: int
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class Stock:
    """A collection's pictures that can be shown, at one moment.

    Attributes:
        images: (N,) uint64, their ids, ascending.
        count: (N,) float64, ratings of each; comparisons it was in.
        total: (N,) float64, their sum; what it won.
        unsure: (N,) float64, how much one more rating would tell: see `uncertainty`.
        predicted: (N,) bool, whether there is a predicted score.
    """

    images: Keys
    count: Floats
    total: Floats
    unsure: Floats
    predicted: NDArray[np.bool_]

    def usable(self, collection: Collection) -> NDArray[np.bool_]:
        """(N,) bool, which can be shown now: where a predicted score is shown, those that have one."""
        if collection.experiment == "rate":
            return self.predicted
        return np.ones(len(self.images), np.bool_)


class Stocks:
    """The stock of each collection, a few seconds old at most."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[float, Stock]] = {}

    def of(self, session: Session, collection: Collection) -> Stock:
        """A collection's stock."""
        kept = self._kept.get(collection.id)
        # While nothing can be shown yet, somebody is waiting for the first picture.
        if (
            kept is None
            or time.monotonic() - kept[0] > _SECONDS_FRESH
            or not kept[1].usable(collection).any()
        ):
            kept = (time.monotonic(), _read(session, collection))
            self._kept[collection.id] = kept
        return kept[1]

    def forget(self, collection_id: int) -> None:
        """Read a collection anew when it is next asked for: its pictures or settings changed."""
        self._kept.pop(collection_id, None)


def uncertainty(
    count: Floats, total: Floats, squares: Floats, *, position: Floats, spread: Floats, scale: Scale
) -> Floats:
    """How much one more rating would tell of each picture, in units of the scale.

    The standard error its mean would have with one more rating (people's variance shrunk towards the model's,
    or towards a quarter of the scale where there is none), plus the gap between people and model, which
    counts less the more people rated.

    Args:
        count: (N,), ratings.
        total: (N,), their sum.
        squares: (N,), sum of their squares.
        position: (N,), predicted mean, 0 to 1 of the scale; NaN for none.
        spread: (N,), predicted standard deviation, likewise.
        scale: What the ratings are on.

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
    """A number for each picture by which a rater's shuffle sorts: the same on every device and day.

    Args:
        images: (N,) uint64.
        rater: Whose shuffle.
        purpose: Different ones are independent.

    Returns:
        (N,) uint64, evenly spread: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
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
    stock: Stock,
    amount: int,
    *,
    held: set[int],
    elsewhere: Floats,
) -> Hand:
    """What a rater rates next.

    Args:
        session: From `Database.read`.
        collection: Its order, repeats and ratings wanted count.
        rater: Who rates.
        stock: The collection's.
        amount: How many pictures.
        held: Pictures the browser has already, or whose ratings have not arrived yet.
        elsewhere: (N,) float64, how many other raters hold each picture of the stock.

    Returns:
        Up to that many pictures; none where the rater is done.
    """
    rows = session.execute(
        select(Rating.image_id, Rating.round, Rating.value)
        .where(Rating.collection_id == collection.id, Rating.rater_id == rater.id)
        .order_by(Rating.occurred_at)
    ).all()
    seen = {image for image, turn, _ in rows if turn == FIRST}
    rated = [image for image, turn, value in rows if turn == FIRST and value is not None]
    repeated = {image for image, turn, _ in rows if turn == REPEAT}
    new = ~np.isin(stock.images, np.fromiter(seen, np.uint64))
    if collection.wanted is not None:
        new &= stock.count < collection.wanted
    left = int(new.sum())
    new &= ~np.isin(stock.images, np.fromiter(held, np.uint64))
    fresh = _ordered(collection, rater, stock, new & _is_short(collection, stock, elsewhere), elsewhere)
    if not len(fresh):  # others may never rate what they hold
        fresh = _ordered(collection, rater, stock, new, elsewhere)
    due = _due(collection, rater, stock, rated, over=not len(fresh))
    picks = interleave(
        [Pick(int(image), FIRST) for image in fresh[:amount]],
        [Pick(image, REPEAT) for image in due if image not in repeated and image not in held][:amount],
        share=collection.repeats,
        start=len(rows) + len(held),
    )
    return Hand(picks[:amount], len(seen), len(seen) - len(rated), left)


def interleave(fresh: Sequence[Item], again: Sequence[Item], *, share: float, start: int) -> list[Item]:
    """Put what is shown again between what is new, evenly, and at the end what is left of it.

    Args:
        fresh: New items, in order.
        again: Items to be shown again, in order.
        share: How many there are of these for each of those.
        start: How many items were shown before.

    Returns:
        All of them.
    """
    every = round(1 / share) + 1 if share else 0
    items, repeats = list(fresh), list(again)
    for place in range(len(fresh) + len(again)):
        if repeats and (place >= len(items) or (start + place) % every == 0):
            items.insert(place, repeats.pop(0))
    return items


def _is_short(collection: Collection, stock: Stock, elsewhere: Floats) -> NDArray[np.bool_]:
    """Which pictures want ratings still when all that hold them will have rated them."""
    wanted = np.inf if collection.wanted is None else collection.wanted
    return stock.count + elsewhere < wanted


def _ordered(
    collection: Collection, rater: Rater, stock: Stock, new: NDArray[np.bool_], elsewhere: Floats
) -> Keys:
    """Pictures new to a rater that can be shown, in order; whoever holds one counts as having rated it."""
    chosen = new & stock.usable(collection)
    images = stock.images[chosen]
    keys = shuffle_keys(images, rater)
    match collection.ordering:
        case "fewest":
            order = np.lexsort((keys, (stock.count + elsewhere)[chosen]))
        case "active":
            order = np.lexsort((keys, -(stock.unsure / (1 + elsewhere))[chosen]))
        case _:
            order = np.argsort(keys)
    return images[order]


def _due(collection: Collection, rater: Rater, stock: Stock, rated: list[int], *, over: bool) -> list[int]:
    """Pictures a rater may be shown again, those rated first at the front."""
    if not collection.repeats:
        return []
    images = np.array(rated if over else rated[:-REPEAT_AFTER], np.uint64)
    chosen = is_repeated(collection, rater, images) & np.isin(images, stock.images)
    return [int(image) for image in images[chosen]]


def is_repeated(collection: Collection, rater: Rater, images: Keys) -> NDArray[np.bool_]:
    """Which pictures a rater is shown twice: the collection's share of them, always the same.

    Args:
        collection: Its repeats count.
        rater: Who rates.
        images: (N,) uint64, ids.

    Returns:
        (N,) bool.
    """
    return shuffle_keys(images, rater, "repeats") < np.uint64(collection.repeats * (2**64 - 1))


def _read(session: Session, collection: Collection) -> Stock:
    unknown = -1.0  # of a position or spread, which are 0 or more
    columns = (
        Image.id,
        Image.count,
        Image.total,
        Image.squares,
        func.coalesce(Image.position, unknown),
        func.coalesce(Image.spread, unknown),
    )
    wanted = select(*columns).where(Image.collection_id == collection.id, Image.state == OK)
    # The driver's own rows: making SQLAlchemy's of 100,000 takes longer than all else.
    cursor = session.connection().execute(wanted.order_by(Image.id)).cursor
    rows = [] if cursor is None else cursor.fetchall()
    values = np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * len(columns))
    images, count, total, squares, position, spread = values.reshape(-1, len(columns)).T.copy()
    position[position == unknown] = spread[spread == unknown] = np.nan
    return Stock(
        images=images.astype(np.uint64),
        count=count,
        total=total,
        unsure=uncertainty(count, total, squares, position=position, spread=spread, scale=collection.scale),
        predicted=~np.isnan(position),
    )

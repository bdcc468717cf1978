"""Gold pictures: set by the owner, from a table, or from the agreement of raters."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError, UsageError
from nimakit.io.tables import BadRows, number, read_rows
from nimakit.stats.histogram import across_scale
from nimakit.web.db.outcomes import decided
from nimakit.web.db.queries import explained_pictures, is_counted, is_shown
from nimakit.web.db.tables import BY_AGREEMENT, BY_OWNER, FIRST, SKIP, Choice, Collection, Gold, Image, Rating

_MIN_ANSWERS = 5
_DEVIATIONS = 2.5
_LEAST_MARGIN = 0.15
"""Of the scale, on either side of the mean: careful raters hardly miss it."""
_MOST_WIDE = 0.6
"""Of the scale: a wider range would be hit by chance."""
_CLEAR = 0.75
"""Share of pairs won from which a picture is clearly better than one that lost as many."""


def set_gold(
    session: Session,
    collection: Collection,
    image: Image,
    *,
    low: float | None = None,
    high: float | None = None,
    worse: Image | None = None,
    source: str = BY_OWNER,
    explained: Set[str] | None = None,
) -> None:
    """Make a picture a gold picture, or change its right answer.

    Args:
        session: From `Database.write`.
        collection: The collection.
        image: The picture.
        low: Lowest right rating; None where pictures are compared.
        high: Highest right rating.
        worse: Where pictures are compared, the one that it must win against.
        source: `BY_OWNER` or `BY_AGREEMENT`.
        explained: Paths of the pictures in the study's texts, if they have been read.

    Raises:
        UsageError: The range is not on the scale, the other picture is missing or the same, or one of them is
            in the study's texts.
    """
    explained = explained_pictures(session, collection) if explained is None else explained
    if named := [one.path for one in (image, worse) if one is not None and one.path in explained]:
        raise UsageError(
            "A gold picture must be one that raters rate; those of the study's consent, instructions,"
            f" examples and practice are not rated. Received: {named[0]}"
        )
    if collection.compares:
        if worse is None or worse.id == image.id or worse.collection_id != collection.id:
            raise UsageError(
                "A gold picture needs another picture of the collection that it must win against."
            )
        low = high = None
    elif low is None or high is None or not collection.low <= low <= high <= collection.high:
        raise UsageError(
            f"The right ratings must be a range on the scale from {collection.low} to {collection.high}."
            f" Received: {low} to {high}"
        )
    gold = session.get(Gold, image.id) or Gold(image_id=image.id, collection_id=collection.id)
    gold.low, gold.high, gold.source = low, high, source
    gold.worse_id = None if worse is None else worse.id
    session.add(gold)


def remove_gold(session: Session, image: Image) -> None:
    """Make a gold picture an ordinary one; its ratings stay."""
    session.execute(delete(Gold).where(Gold.image_id == image.id))


def import_gold(session: Session, collection: Collection, path: Path) -> int:
    """Read gold pictures from a table: image, low and high; where pictures are compared, image and worse.

    Args:
        session: From `Database.write`.
        collection: The collection.
        path: .csv, .tsv or .jsonl; images by path, or by name without suffix.

    Returns:
        Number of gold pictures in the table; the last row of a picture counts.

    Raises:
        LabelError: A row is bad; nothing is changed then.
    """
    rows = BadRows(remedy="Correct these rows and upload the table again.", naming="Rename one.")
    compared, explained = collection.compares, explained_pictures(session, collection)
    images = list(session.scalars(select(Image).where(Image.collection_id == collection.id)))
    named = {image.image_id: image for image in images} | {image.path: image for image in images}
    found = set[int]()
    with session.begin_nested() as inner:
        for row in read_rows(path, ("image", "worse") if compared else ("image", "low", "high"), rows):
            try:
                if missing := [name for name in row.values[: 2 if compared else 1] if name not in named]:
                    raise ValueError(f"{missing[0]!r} is no picture of this collection")
                image = named[row.values[0]]
                if compared:
                    set_gold(session, collection, image, worse=named[row.values[1]], explained=explained)
                else:
                    low, high = (
                        number(text, collection.low, collection.high, name=name)
                        for text, name in zip(row.values[1:], ("low", "high"), strict=True)
                    )
                    set_gold(session, collection, image, low=low, high=high, explained=explained)
                found.add(image.id)
            except (ValueError, UsageError) as error:
                rows.add(path, row.line, str(error))
        try:
            rows.refuse()
        except LabelError:
            inner.rollback()
            raise
    return len(found)


def suggest_gold(session: Session, collection: Collection, amount: int) -> int:
    """Make the pictures on whose rating people agree most gold pictures, at even steps across the scale.

    The right ratings are within 2.5 standard deviations of the mean, and at least 15 % of the scale on either
    side. Where pictures are compared, those that won three quarters of their pairs must win against those
    that lost as many.

    Returns:
        Number of new gold pictures, at most `amount`.
    """
    gold = select(Gold.image_id).where(Gold.collection_id == collection.id)
    free = set(session.scalars(select(Image.id).where(is_shown(session, collection), Image.id.not_in(gold))))
    if collection.compares:
        return _suggest_pairs(session, collection, amount, free)
    values: dict[int, list[float]] = {}
    rows = select(Rating.image_id, Rating.value).where(
        Rating.collection_id == collection.id,
        Rating.round == FIRST,
        Rating.value.is_not(None),
        is_counted(collection, Rating),
    )
    for image, value in session.execute(rows):
        if image in free:
            values.setdefault(image, []).append(float(value or 0.0))
    found = agreed_ranges(values, collection.low, collection.high, amount)
    add = partial(set_gold, session, collection, source=BY_AGREEMENT, explained=frozenset())  # all are shown
    for image, (low, high) in found.items():
        add(session.get_one(Image, image), low=low, high=high)
    return len(found)


def _suggest_pairs(session: Session, collection: Collection, amount: int, free: set[int]) -> int:
    rows = session.execute(
        select(Choice.kind, Choice.shown, Choice.chosen, Choice.worst).where(
            Choice.collection_id == collection.id,
            Choice.round == FIRST,
            Choice.kind != SKIP,
            is_counted(collection, Choice),
        )
    )
    found = agreed_pairs([(kind, shown, chosen, worst) for kind, shown, chosen, worst in rows], free, amount)
    add = partial(set_gold, session, collection, source=BY_AGREEMENT, explained=frozenset())  # all are shown
    for better, worse in found.items():
        add(session.get_one(Image, better), worse=session.get_one(Image, worse))
    return len(found)


def agreed_ranges(
    values: Mapping[int, Sequence[float]], low: int, high: int, amount: int
) -> dict[int, tuple[int, int]]:
    """The pictures on whose rating people agree most, at even steps across the scale.

    Args:
        values: Id of each picture -> its ratings.
        low: Lowest rating of the scale.
        high: Highest rating.
        amount: Number of pictures to choose, at most.

    Returns:
        Id of each picture chosen -> lowest and highest right rating.
    """
    width, found = high - low, []
    for image, given in values.items():
        if len(given) < _MIN_ANSWERS:
            continue
        mean = float(np.mean(given))
        margin = max(_DEVIATIONS * float(np.std(given, ddof=1)), _LEAST_MARGIN * width)
        right = max(low, math.floor(mean - margin)), min(high, math.ceil(mean + margin))
        if right[1] - right[0] <= _MOST_WIDE * width:
            found.append((right[1] - right[0], mean, image, right))
    best = sorted(found)[: 3 * amount]
    places = across_scale(np.array([one[1] for one in best]), amount).tolist() if best else []
    return {image: right for _, _, image, right in (best[place] for place in places)}


def agreed_pairs(
    rows: Iterable[tuple[str, Sequence[int], int | None, int | None]], free: Set[int], amount: int
) -> dict[int, int]:
    """Pictures that nearly always win, and those that nearly always lose.

    What counts is the share of pairs won (`nimakit.web.db.outcomes.decided`): it is half on average, of
    however many pictures the best is chosen.

    Args:
        rows: Kind, pictures shown, the chosen and the worst one of each comparison, without skips.
        free: Pictures that may be chosen.
        amount: Number of pairs to choose, at most.

    Returns:
        Id of the better picture of each pair -> id of the worse one.
    """
    shown: Counter[int] = Counter()
    won, made = defaultdict[int, float](float), defaultdict[int, float](float)
    for kind, images, chosen, worst in rows:
        shown.update(images)
        for left, right, share, weight in decided(kind, images, chosen, worst):
            won[left] += weight * share
            won[right] += weight * (1 - share)
            made[left] += weight
            made[right] += weight
    shares = {
        image: won[image] / made[image] for image in made if image in free and shown[image] >= _MIN_ANSWERS
    }
    images = sorted(shares, key=lambda image: shares[image])
    return {
        better: worse
        for worse, better in list(zip(images, reversed(images), strict=True))[:amount]
        if shares[better] >= _CLEAR and shares[worse] <= 1 - _CLEAR
    }

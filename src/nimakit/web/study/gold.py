"""Gold pictures: set by the owner, from a table, or from the agreement of raters."""

import math
from pathlib import Path

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError, UsageError
from nimakit.io.tables import BadRows, number, read_rows
from nimakit.stats.histogram import across_scale
from nimakit.web.db.queries import explained_pictures, is_counted, is_shown
from nimakit.web.db.tables import BY_AGREEMENT, BY_OWNER, FIRST, Collection, Gold, Image, Rating

_MIN_RATINGS = 5
_DEVIATIONS = 2.5
_LEAST_MARGIN = 0.15
"""Of the scale, on either side of the mean: careful raters hardly miss it."""
_MOST_WIDE = 0.6
"""Of the scale: a wider range would be hit by chance."""
_CLEAR = 0.75
"""Share of comparisons won from which a picture is clearly better than one that lost as many."""


def set_gold(
    session: Session,
    collection: Collection,
    image: Image,
    *,
    low: float | None = None,
    high: float | None = None,
    worse: Image | None = None,
    source: str = BY_OWNER,
) -> None:
    """Make a picture a gold picture, or change its right answer.

    Raises:
        UsageError: The range is not on the scale, the other picture is missing or the same, or one of them is
            in the study's texts.
    """
    explained = explained_pictures(session, collection)
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
    compared = collection.compares
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
                    set_gold(session, collection, image, worse=named[row.values[1]])
                else:
                    low, high = (
                        number(text, collection.low, collection.high, name=name)
                        for text, name in zip(row.values[1:], ("low", "high"), strict=True)
                    )
                    set_gold(session, collection, image, low=low, high=high)
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
    side. Where pictures are compared, those that won three quarters of their comparisons must win against
    those that lost as many.

    Returns:
        Number of new gold pictures, at most `amount`.
    """
    known = set(session.scalars(select(Gold.image_id).where(Gold.collection_id == collection.id)))
    shown = set(session.scalars(select(Image.id).where(is_shown(session, collection), Image.count > 0)))
    if collection.compares:
        return _suggest_pairs(session, collection, amount, known)
    values: dict[int, list[float]] = {}
    rows = select(Rating.image_id, Rating.value).where(
        Rating.collection_id == collection.id,
        Rating.round == FIRST,
        Rating.value.is_not(None),
        is_counted(collection, Rating),
    )
    for image, value in session.execute(rows):
        values.setdefault(image, []).append(float(value or 0.0))
    width, found = collection.scale.width, []
    for image, given in values.items():
        if image in known or image not in shown or len(given) < _MIN_RATINGS:
            continue
        mean = float(np.mean(given))
        margin = max(_DEVIATIONS * float(np.std(given, ddof=1)), _LEAST_MARGIN * width)
        low = max(collection.low, math.floor(mean - margin))
        high = min(collection.high, math.ceil(mean + margin))
        if high - low <= _MOST_WIDE * width:
            found.append((high - low, mean, image, low, high))
    best = sorted(found)[: 3 * amount]
    for place in across_scale(np.array([one[1] for one in best]), amount).tolist() if best else []:
        _, _, image, low, high = best[place]
        set_gold(session, collection, session.get_one(Image, image), low=low, high=high, source=BY_AGREEMENT)
    return min(amount, len(best))


def _suggest_pairs(session: Session, collection: Collection, amount: int, known: set[int]) -> int:
    wanted = select(Image).where(is_shown(session, collection), Image.count >= _MIN_RATINGS)
    images = [image for image in session.scalars(wanted) if image.id not in known]
    images.sort(key=lambda image: image.total / image.count)
    pairs = [
        (better, worse)
        for worse, better in zip(images, reversed(images), strict=True)
        if better.total / better.count >= _CLEAR and worse.total / worse.count <= 1 - _CLEAR
    ][:amount]
    for better, worse in pairs:
        set_gold(session, collection, better, worse=worse, source=BY_AGREEMENT)
    return len(pairs)

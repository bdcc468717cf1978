"""Checks among the pictures that a rater is shown: gold pictures and attention checks.

A gold picture is a picture like any other, except that every rater is shown it. An attention check shows a
picture with an instruction in place of the question; its answer is no rating.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import Attention, Checks, Collection, Gold, Rater
from nimakit.web.languages import gettext

Item = TypeVar("Item")

MOST_CHECKS = 10_000
"""Largest number of an attention check."""

DEFAULTS: dict[str, Any] = {
    "gold_every": 10,
    "attention_every": None,
    "excludes": False,
    "gold_misses": 2,
    "attention_misses": 2,
    "same_share": 0.9,
    "fast_ms": 400,
    "repeat_points": None,
    "by_agreement": True,
}
"""Values of `Checks` for a collection without a row."""

_HALF_A_STEP = 0.5


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """The checks of a collection that raters are shown.

    Attributes:
        gold_every: Pictures from one gold picture to the next.
        attention_every: Pictures from one attention check to the next; None for no checks.
        gold: Id of each gold picture -> where pictures are compared, id of the one that it must win against.
    """

    gold_every: int = DEFAULTS["gold_every"]
    attention_every: int | None = None
    gold: Mapping[int, int | None] = field(default_factory=dict)


def checks_of(session: Session, collection: Collection) -> Checks:
    """The checks of a collection; if it has none, those of `DEFAULTS`, not attached to the session."""
    return session.get(Checks, collection.id) or Checks(collection_id=collection.id, **DEFAULTS)


def plan_of(session: Session, collection: Collection) -> CheckPlan:
    """Read which checks raters are shown."""
    checks = checks_of(session, collection)
    rows = session.execute(
        select(Gold.image_id, Gold.worse_id)
        .where(Gold.collection_id == collection.id)
        .order_by(Gold.image_id)
    )
    gold = {image: worse for image, worse in rows if (worse is not None) == collection.compares}
    return CheckPlan(checks.gold_every, checks.attention_every, gold)


def spread(fresh: Sequence[Item], gold: Sequence[Item], *, every: int, room: int, start: int) -> list[Item]:
    """Put gold items among new ones at even steps, nearer to each other if they would not all be shown.

    Args:
        fresh: New items in order, without the gold ones.
        gold: Gold items in order.
        every: Items from one gold item to the next.
        room: Most items to return, gold ones included.
        start: Number of items shown before.
    """
    others, waiting, items = list(fresh), list(gold), list[Item]()
    every = max(1, min(every, room // max(1, len(waiting))))
    while len(items) < room and (others or waiting):
        is_due = (start + len(items) + 1) % every == 0 or not others
        items.append((waiting if waiting and is_due else others or waiting).pop(0))
    return items


def with_attention(
    items: Sequence[Item],
    *,
    every: int | None,
    start: int,
    asked: Set[int],
    is_end: bool,
    check: Callable[[int], Item],
) -> list[Item]:
    """Put the attention checks that are due among items, at most one before each.

    A check is due once an item follows as many others as its number times `every`.

    Args:
        items: The items, in order.
        every: Items from one check to the next; None for no checks.
        start: Number of items shown before, without checks.
        asked: Numbers of the checks that the rater has answered or that wait in their browser.
        is_end: Whether no other items follow, so that all checks that are still due do.
        check: Makes the check of a number.
    """
    if every is None:
        return list(items)
    last, found = start + len(items) - 1, list[Item]()
    missing = [number for number in range(1, max(last, 0) // every + 1) if number not in asked]
    for place, item in enumerate(items):
        if missing and start + place >= missing[0] * every:
            found.append(check(missing.pop(0)))
        found.append(item)
    return found + [check(number) for number in missing] if is_end else found


def answered_checks(session: Session, collection: Collection, rater: Rater) -> set[int]:
    """Numbers of the attention checks that a rater has answered."""
    own = (Attention.collection_id == collection.id, Attention.rater_id == rater.id)
    return set(session.scalars(select(Attention.number).where(*own)))


def wanted_answer(collection: Collection, rater: Rater, number: int) -> int:
    """What a rater's attention check asks for: a rating, or the place of the (best) picture from 1.

    It follows from the rater's pseudonym, so that it is the same on every device. All answers take turns:
    a rater who always gives the same one misses most checks.
    """
    values = range(1, collection.choices + 1) if collection.compares else collection.scale.values
    order = Random(f"{rater.code} attention {collection.id}").sample(values, len(values))  # noqa: S311
    return order[(number - 1) % len(order)]


def instruction(collection: Collection, rater: Rater, number: int) -> str:
    """What an attention check says in place of the question, in the rater's language."""
    value = wanted_answer(collection, rater, number)
    match collection.experiment:
        case "preference":
            return gettext(
                "This checks that you read the question: choose photograph %(value)s.", value=value
            )
        case "best-worst":
            return gettext(
                "This checks that you read the question: choose photograph %(value)s as the best, and any"
                " other as the worst.",
                value=value,
            )
        case "rate":
            return gettext(
                "This checks that you read the question: set the score to %(value)s, and accept it.",
                value=value,
            )
    return gettext("This checks that you read the question: choose %(value)s for this picture.", value=value)


def passes(wanted: int, given: float | None) -> bool:
    """Whether an answer to an attention check is the wanted one; a skip is not."""
    return given is not None and abs(given - wanted) < _HALF_A_STEP

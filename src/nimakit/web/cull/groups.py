"""The groups of a cull as one rater sees them: the best frame first, by what the rater has picked so far."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.culling.appearance import Appearance
from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group, Kind
from nimakit.culling.ranking import DEFAULT_WEIGHTS, Weights, fit_weights, rank_group
from nimakit.images.measures import Measures
from nimakit.stats.pairwise import Pairs
from nimakit.web.db.tables import FIRST, OK, Collection, Flag, GroupedImage, Image, Rater, Rating
from nimakit.web.predictions.picks import compared
from nimakit.web.predictions.tastes import personal_positions

_LOW, _WIDTH = 1.0, 9.0
"""The scale of the public models, for which the weights of scores were chosen."""
_NOTHING = np.zeros(0, np.float32)
_Member = tuple[Image, GroupedImage]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A picture in a group.

    Attributes:
        image: The picture.
        reasons: In words, why it is the best of its group or is not; may be empty.
    """

    image: Image
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownGroup:
    """A group of pictures.

    Attributes:
        kind: One of `nimakit.culling.groups.KINDS`.
        scene: Number of the scene, from 0; None of a picture that is not grouped yet.
        shown: Its pictures, the best first; of a set that is kept whole, as they were taken.
        is_whole: Whether its pictures are parts of one and none is better.
    """

    kind: Kind
    scene: int | None
    shown: tuple[Shown, ...]
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """The groups of a cull, ranked for one rater.

    Attributes:
        groups: In the order of the groups, then the pictures that are not grouped yet.
        comparisons: Number of comparisons that the ranking learned from.
        has_taste: Whether the rater's taste counts.
    """

    groups: tuple[ShownGroup, ...]
    comparisons: int
    has_taste: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rater decided about a picture.

    Attributes:
        flag: `PICK`, `REJECT`, `UNFLAG` or None.
        stars: 1 to 5, or None.
    """

    flag: str | None = None
    stars: int | None = None


def rank(session: Session, collection: Collection, rater: Rater) -> Ranking:
    """Rank the pictures of a cull for a rater.

    Args:
        session: From `Database.read`.
        collection: A cull.
        rater: The rater.
    """
    wanted = (
        select(Image, GroupedImage)
        .outerjoin(GroupedImage, GroupedImage.image_id == Image.id)
        .where(Image.collection_id == collection.id, Image.state == OK)
        .order_by(GroupedImage.number, GroupedImage.place, Image.path)
    )
    members: dict[int, list[_Member]] = defaultdict(list)
    loose: list[Image] = []
    for image, grouped in session.execute(wanted):
        if grouped is None:
            loose.append(image)
        else:
            members[grouped.number].append((image, grouped))
    together = [member for group in members.values() for member in group]
    tastes = personal_positions(session, collection, rater, [image for image, _ in together])
    pairs = compared(session, collection, rater.id)
    frames = {image.id: _frame(image, grouped, tastes) for image, grouped in together}
    weights = _weights(frames, pairs)
    return Ranking(
        groups=(
            *(_ranked(group, frames, weights) for group in members.values()),
            *(ShownGroup(kind="single", scene=None, shown=(Shown(image=image),)) for image in loose),
        ),
        comparisons=len(pairs),
        has_taste=bool(tastes),
    )


def decisions(session: Session, collection: Collection, rater: Rater) -> dict[int, Decision]:
    """Picture id -> what a rater decided; pictures without a decision may be missing."""
    of_rater = Rating.collection_id == collection.id, Rating.rater_id == rater.id, Rating.round == FIRST
    stars = dict(session.execute(select(Rating.image_id, Rating.value).where(*of_rater)).all())
    own = Flag.collection_id == collection.id, Flag.rater_id == rater.id
    flags = dict(session.execute(select(Flag.image_id, Flag.kind).where(*own)).all())
    return {
        image: Decision(flags.get(image), None if (given := stars.get(image)) is None else int(given))
        for image in {*stars, *flags}
    }


def _frame(image: Image, grouped: GroupedImage, tastes: Mapping[int, float]) -> Frame:
    """The frame of a picture, with what ranking needs."""
    taste = tastes.get(image.id)
    return Frame(
        path=Path(image.path),
        image_id=image.image_id,
        content=b"",
        features=_NOTHING,
        appearance=Appearance(measures=Measures(**grouped.measures), detail=_NOTHING, thumbnail=_NOTHING),
        score=None if image.position is None else _LOW + _WIDTH * image.position,
        taste=None if taste is None else _LOW + _WIDTH * taste,
    )


def _weights(frames: Mapping[int, Frame], pairs: Iterable[tuple[int, int, float]]) -> Weights:
    known = [comparison for comparison in pairs if frames.keys() >= set(comparison[:2])]
    if not known:
        return DEFAULT_WEIGHTS
    place = {image: number for number, image in enumerate(frames)}
    better, worse = np.array([[place[image] for image in pair] for *pair, _ in known]).T
    weight = np.array([counts for *_, counts in known])
    return fit_weights(
        [*frames.values()], Pairs.count(better, worse, np.ones(len(known)), weight, len(frames))
    )


def _ranked(rows: Sequence[_Member], frames: Mapping[int, Frame], weights: Weights) -> ShownGroup:
    first = rows[0][1]
    group = Group(kind=cast("Kind", first.kind), frames=tuple(range(len(rows))), scene=first.scene)
    if group.is_whole:
        shown = tuple(Shown(image=image) for image, _ in rows)
    else:
        found = rank_group(group, [frames[image.id] for image, _ in rows], weights)
        shown = tuple(Shown(image=rows[one.frame][0], reasons=one.reasons) for one in found)
    return ShownGroup(kind=group.kind, scene=group.scene, shown=shown, is_whole=group.is_whole)

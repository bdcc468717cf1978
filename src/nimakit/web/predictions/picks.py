"""Comparisons that a rater's picks and rejects in a cull imply."""

from collections import defaultdict

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.culling.groups import WHOLE
from nimakit.labels import picks
from nimakit.personal.learning import NOISE_SHARE
from nimakit.stats.joint import Choices
from nimakit.stats.pairwise import Pairs
from nimakit.web.db.features import features_of
from nimakit.web.db.tables import CULL, OK, PICK, REJECT, Collection, Flag, GroupedImage, Image


def compared(session: Session, collection: Collection, rater_id: int) -> list[tuple[int, int, float]]:
    """Comparisons of a rater: a pick beats the rejects of its group. Sets that are kept whole have none.

    Args:
        session: From `Database.read`.
        collection: A cull.
        rater_id: The rater.

    Returns:
        The better and the worse picture of each, as ids, and how much it counts.
    """
    wanted = (
        select(GroupedImage.number, Flag.image_id, Flag.kind)
        .join(Flag, Flag.image_id == GroupedImage.image_id)
        .join(Image, Image.id == Flag.image_id)
        .where(
            Flag.collection_id == collection.id,
            Flag.rater_id == rater_id,
            Flag.kind.in_((PICK, REJECT)),
            GroupedImage.kind.not_in(WHOLE),
            Image.state == OK,
        )
        .order_by(GroupedImage.number, GroupedImage.place)
    )
    groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, image, kind in session.execute(wanted):
        groups[number].append((image, picks.PICK if kind == PICK else picks.REJECT))
    found = []
    for members in groups.values():
        pairs, weight = picks.compared([mark for _, mark in members])
        found += [(members[better][0], members[worse][0], weight) for better, worse in pairs]
    return found


def choices_of(session: Session, collection: Collection, rater_id: int) -> Choices | None:
    """The comparisons of a rater with the features of the pictures, for a taste of positions from 0 to 1.

    Args:
        session: From `Database.read`.
        collection: Any collection.
        rater_id: The rater.

    Returns:
        None without any, as in all experiments but a cull.
    """
    found = compared(session, collection, rater_id) if collection.experiment == CULL else []
    seen = features_of(session, {image for *pair, _ in found for image in pair})
    known = [comparison for comparison in found if seen.keys() >= set(comparison[:2])]
    if not known:
        return None
    place = {image: number for number, image in enumerate(seen)}
    wanted = select(Image.id, Image.position).where(Image.id.in_(seen))
    positions = {image: position for image, position in session.execute(wanted)}  # noqa: C416 - rows
    left, right = np.array([[place[image] for image in pair] for *pair, _ in known]).T
    weight = np.array([counts for *_, counts in known])
    pairs = Pairs.count(left, right, np.ones(len(known)), weight, len(place))
    images = [*seen.values()]
    means = np.array([positions[image] for image in seen])
    return Choices(pairs, np.stack(images).astype(np.float64), means, NOISE_SHARE)

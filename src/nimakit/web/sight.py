"""Who may see what: raters the pictures they said something of, and what the study shows them of those."""

from collections.abc import Collection as Ids
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import FIRST, SKIP, Choice, Collection, Image, Rater, Rating


def names_shown(collection: Collection, rater: Rater, images: Iterable[Image]) -> dict[int, str]:
    """The names of pictures by id, as far as somebody may see them: raters of a blind collection see none."""
    if collection.blind and not rater.is_admin:
        return {}
    return {image.id: image.path for image in images}


def sees_model(collection: Collection, rater: Rater) -> bool:
    """Whether somebody may see what a model says of pictures they rated."""
    return rater.is_admin or not collection.blind


def sees_why(collection: Collection, rater: Rater) -> bool:
    """Whether somebody may see what the model looks at, as they may see its score."""
    return collection.model is not None and sees_model(collection, rater)


def said_of(session: Session, collection: Collection, rater: Rater, images: Ids[int]) -> dict[int, bool]:
    """Those of some pictures a rater said something of -> whether that was more than to skip them."""
    if collection.experiment != "preference":
        mine = (Rating.rater_id == rater.id, Rating.round == FIRST, Rating.image_id.in_(images))
        rows = session.execute(select(Rating.image_id, Rating.value).where(*mine))
        return {image: value is not None for image, value in rows}
    own = (Choice.collection_id == collection.id, Choice.rater_id == rater.id)
    found: dict[int, bool] = {}
    for shown, kind in session.execute(select(Choice.shown, Choice.kind).where(*own)):
        found.update({image: found.get(image, False) or kind != SKIP for image in {*shown} & {*images}})
    return found


def known_to(session: Session, collection: Collection, rater: Rater, images: Ids[int]) -> set[int]:
    """Those of some pictures whose page somebody may open: what they said something of; for the admin all."""
    return set(images) if rater.is_admin else set(said_of(session, collection, rater, images))

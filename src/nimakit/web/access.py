"""Who asks, and what they may see."""

from collections.abc import Callable, Iterable
from collections.abc import Collection as Ids
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import abort
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import current_user  # type: ignore[import-untyped]
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import FIRST, SKIP, Choice, Collection, Image, Rater, Rating

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

_CLOSED = "No ratings are taken at the moment."


@dataclass(frozen=True, slots=True)
class User:
    """A rater, as flask-login wants to have one.

    Attributes:
        rater: Who it is.
        collection: What the address of the request names, where they may rate it.
        session: Tells their sessions apart, so that one can end alone; empty where they need none.
    """

    rater: Rater
    collection: Collection | None = None
    session: str = ""
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """What a session remembers; it ends by signing out, and when the rater's links are renewed."""
        parts = [self.rater.id, self.rater.link_version, *([self.session] if self.session else [])]
        return ".".join(map(str, parts))


def current_rater() -> Rater:
    """Who asks; without a session the answer is 401."""
    if not current_user.is_authenticated:
        abort(401)
    rater: Rater = current_user.rater
    return rater


def visited_collection(slug: str) -> Collection:
    """The collection of the request's address, to be looked at alone: it came with who asks; 404 as below."""
    current_rater()
    collection: Collection | None = current_user.collection
    if collection is None or collection.slug != slug:
        abort(404)
    return collection


def current_collection(session: Session, slug: str) -> Collection:
    """The collection of the request's address, as a row of a session.

    The answer is 404 where there is none, or the one who asks may not know of it.
    """
    collection = session.get(Collection, visited_collection(slug).id)
    if collection is None:
        abort(404)
    return collection


def refuse_closed(collection: Collection) -> None:
    """409 where nothing can be said of a collection at the moment."""
    if not collection.is_open:
        abort(409, _CLOSED)


def correction_refusal(collection: Collection, rater: Rater) -> str:
    """Why somebody may change nothing of what was said: raters once it is closed; else empty."""
    return "" if collection.is_open or rater.is_admin else _CLOSED


def refuse_correction(collection: Collection, rater: Rater) -> None:
    """409 where somebody may change nothing of what was said."""
    if reason := correction_refusal(collection, rater):
        abort(409, reason)


def admin_only(view: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """A page for the admin: 401 without a session, 403 for raters."""

    @wraps(view)
    def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        if not current_rater().is_admin:
            abort(403)
        return view(*args, **kwargs)

    return checked


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


def answered_pictures(
    session: Session, collection: Collection, rater: Rater, images: Ids[int]
) -> dict[int, bool]:
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


def viewable_pictures(session: Session, collection: Collection, rater: Rater, images: Ids[int]) -> set[int]:
    """Those of some pictures whose page somebody may open: what they said something of; for the admin all."""
    return set(images) if rater.is_admin else set(answered_pictures(session, collection, rater, images))


limiter = Limiter(get_remote_address, storage_uri="memory://")

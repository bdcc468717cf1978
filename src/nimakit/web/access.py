"""The rater of a request, and what they may see and do."""

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

from nimakit.serving.http.counters import COUNTERS
from nimakit.web.db.tables import (
    FIRST,
    SKIP,
    Choice,
    Collection,
    Image,
    Participation,
    Rater,
    Rating,
    Study,
)
from nimakit.web.languages import lazy_gettext

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

_CLOSED = lazy_gettext("This collection does not accept ratings at the moment.")


@dataclass(frozen=True, slots=True)
class User:
    """A rater in the form Flask-Login needs.

    Attributes:
        rater: The rater.
        collection: The collection in the address of the request, if they may rate it.
        session: Id of this session, so that it can be ended separately; empty for the local rater.
        study: The study of that collection, if it is rated as one.
        participation: How far the rater is in that study; None before they agreed to take part.
    """

    rater: Rater
    collection: Collection | None = None
    session: str = ""
    study: Study | None = None
    participation: Participation | None = None
    is_authenticated = True
    is_active = True
    is_anonymous = False

    @property
    def limits(self) -> Study | None:
        """The study that limits what the rater does; None for admins, and if there is no study."""
        return None if self.rater.is_admin else self.study

    def get_id(self) -> str:
        """The content of the session cookie; invalid after signing out or after renewing the links."""
        parts = [self.rater.id, self.rater.link_version, *([self.session] if self.session else [])]
        return ".".join(map(str, parts))


def current_rater() -> Rater:
    """The rater of the request; 401 without a session."""
    if not current_user.is_authenticated:
        abort(401)
    rater: Rater = current_user.rater
    return rater


def visited_collection(slug: str) -> Collection:
    """The collection in the address, read-only because it is detached; 404 as in `current_collection`."""
    current_rater()
    collection: Collection | None = current_user.collection
    if collection is None or collection.slug != slug:
        abort(404)
    return collection


def current_collection(session: Session, slug: str) -> Collection:
    """The collection in the address, attached to a session; 404 if the rater may not see it."""
    collection = session.get(Collection, visited_collection(slug).id)
    if collection is None:
        abort(404)
    return collection


def visited_study() -> Study | None:
    """The study that limits the rater of the request; None for admins, and if there is no study."""
    current_rater()
    study: Study | None = current_user.limits
    return study


def refuse_closed(collection: Collection) -> None:
    """Answer 409 if a collection is closed for ratings."""
    if not collection.is_open:
        abort(409, str(_CLOSED))


def correction_refusal(collection: Collection, rater: Rater) -> str:
    """Why a rater may not correct ratings, which only the admin may once a collection is closed; or empty."""
    return "" if collection.is_open or rater.is_admin else str(_CLOSED)


def refuse_correction(collection: Collection, rater: Rater) -> None:
    """Answer 409 if a rater may not correct ratings."""
    if reason := correction_refusal(collection, rater):
        abort(409, reason)


def admin_only(view: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Restrict a view to the admin: 401 without a session, 403 for raters."""

    @wraps(view)
    def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        if not current_rater().is_admin:
            abort(403)
        return view(*args, **kwargs)

    checked.is_admin_only = True  # type: ignore[attr-defined]  # which `nimakit.web.languages` reads
    return checked


def visible_names(collection: Collection, rater: Rater, images: Iterable[Image]) -> dict[int, str]:
    """Picture id -> name; empty for raters of a blind collection."""
    if collection.blind and not rater.is_admin:
        return {}
    return {image.id: image.path for image in images}


def may_see_scores(collection: Collection, rater: Rater) -> bool:
    """Whether a rater may see the model's scores of pictures they rated."""
    return rater.is_admin or not collection.blind


def may_see_explanation(collection: Collection, rater: Rater) -> bool:
    """Whether a rater may see the model's heatmaps, as they may see its scores."""
    return collection.model is not None and may_see_scores(collection, rater)


def answered_by(session: Session, collection: Collection, rater: Rater, images: Ids[int]) -> dict[int, bool]:
    """Ids of the pictures a rater has rated or skipped -> whether they rated them."""
    if collection.response_table is Rating:
        mine = (Rating.rater_id == rater.id, Rating.round == FIRST, Rating.image_id.in_(images))
        rows = session.execute(select(Rating.image_id, Rating.value).where(*mine))
        return {image: value is not None for image, value in rows}
    own = (Choice.collection_id == collection.id, Choice.rater_id == rater.id)
    found: dict[int, bool] = {}
    for shown, kind in session.execute(select(Choice.shown, Choice.kind).where(*own)):
        found.update({image: found.get(image, False) or kind != SKIP for image in {*shown} & {*images}})
    return found


def viewable_by(session: Session, collection: Collection, rater: Rater, images: Ids[int]) -> set[int]:
    """Ids of the pictures whose pages a rater may open: those they rated or skipped; all for the admin."""
    return set(images) if rater.is_admin else set(answered_by(session, collection, rater, images))


limiter = Limiter(get_remote_address, storage_uri=COUNTERS)

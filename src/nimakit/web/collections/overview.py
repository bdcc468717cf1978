"""The list of a rater's collections, and the redirects into each."""

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.access import current_collection, current_rater
from nimakit.web.accounts import raters
from nimakit.web.collections import lifecycle
from nimakit.web.db.queries import is_shown
from nimakit.web.db.tables import FIRST, Collection, Image, Participation, Rater, Study
from nimakit.web.services import services

blueprint = Blueprint("collections", __name__)

_COVER = 4


@dataclass(frozen=True, slots=True)
class Card:
    """A collection as the list shows it.

    Attributes:
        collection: The collection.
        pictures: Number of its pictures.
        done: Number the rater has rated or skipped; or comparisons made.
        cover: A few of its pictures.
        study: The study that limits the rater, if there is one.
        is_over: Whether the rater has finished that study.
    """

    collection: Collection
    pictures: int
    done: int
    cover: list[Image]
    study: Study | None
    is_over: bool

    @property
    def total(self) -> int | None:
        """Number the rater is asked for; None if there is no end: that of comparisons without a quota."""
        quota = None if self.study is None else self.study.quota
        if self.collection.compares:
            return quota
        return self.pictures if quota is None else min(quota, self.pictures)

    @property
    def is_finished(self) -> bool:
        """Whether the rater has rated or skipped every picture and may look at the results."""
        return self.study is None and self.total is not None and 0 < self.total <= self.done


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """Redirect to the only collection, or to the list."""
    if not current_user.is_authenticated:
        return redirect(url_for("accounts.welcome"))
    with services().database.read() as session:
        found = raters.collections_of(session, current_rater())
    if len(found) == 1:
        return redirect(url_for("collections.start", slug=found[0].slug))
    return redirect(url_for("collections.overview"))


@blueprint.get("/collections")
def overview() -> ResponseReturnValue:
    """The list of collections with the rater's progress."""
    rater = current_rater()
    with services().database.read() as session:
        cards = [_card(session, one, rater) for one in raters.collections_of(session, rater)]
        archived = lifecycle.archived(session) if rater.is_admin else []
        deleted = lifecycle.deleted(session) if rater.is_admin else []
    return render_template(
        "collections/overview.html",
        cards=cards,
        archived=archived,
        deleted=[(one, lifecycle.last_day(one)) for one in deleted],
    )


@blueprint.get("/c/<slug>/")
def start(slug: str) -> ResponseReturnValue:
    """Redirect to the page of a collection's experiment."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    return redirect(url_for(f"{collection.experiment}.page", slug=slug))


def _card(session: Session, collection: Collection, rater: Rater) -> Card:
    table = collection.response_table
    mine = (table.collection_id == collection.id, table.rater_id == rater.id, table.round == FIRST)
    shown = is_shown(session, collection)
    study = None if rater.is_admin else session.get(Study, collection.id)
    taking = session.get(Participation, (rater.id, collection.id))
    is_limited = study is not None and study.is_on
    return Card(
        collection,
        session.scalar(select(func.count()).select_from(Image).where(shown)) or 0,
        session.scalar(select(func.count()).select_from(table).where(*mine)) or 0,
        list(session.scalars(select(Image).where(shown).order_by(Image.id).limit(_COVER))),
        study if is_limited else None,
        is_limited and taking is not None and taking.finished_at is not None,
    )

"""The collections one may rate, and the way into each."""

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.access import current_collection, current_rater
from nimakit.web.accounts import raters
from nimakit.web.db.tables import FIRST, OK, Choice, Collection, Image, Rater, Rating
from nimakit.web.services import services

blueprint = Blueprint("collections", __name__)

_COVER = 4


@dataclass(frozen=True, slots=True)
class Card:
    """A collection as its rater sees it.

    Attributes:
        collection: The collection.
        pictures: How many pictures it has to rate.
        done: How many the rater has rated or skipped; comparisons in a preference.
        cover: A few of its pictures.
    """

    collection: Collection
    pictures: int
    done: int
    cover: list[Image]


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """Straight to the pictures where there is one collection, else to the list."""
    if not current_user.is_authenticated:
        return redirect(url_for("accounts.welcome"))
    with services().database.read() as session:
        found = raters.collections_of(session, current_rater())
    if len(found) == 1:
        return redirect(url_for("collections.start", slug=found[0].slug))
    return redirect(url_for("collections.overview"))


@blueprint.get("/collections")
def overview() -> ResponseReturnValue:
    """The list, with how far one is."""
    rater = current_rater()
    with services().database.read() as session:
        cards = [_card(session, one, rater) for one in raters.collections_of(session, rater)]
    return render_template("collections/overview.html", cards=cards)


@blueprint.get("/c/<slug>/")
def start(slug: str) -> ResponseReturnValue:
    """The experiment of a collection."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    return redirect(url_for(f"{collection.experiment}.page", slug=slug))


def _card(session: Session, collection: Collection, rater: Rater) -> Card:
    table = Choice if collection.experiment == "preference" else Rating
    mine = (table.collection_id == collection.id, table.rater_id == rater.id, table.round == FIRST)
    shown = (Image.collection_id == collection.id, Image.state == OK)
    return Card(
        collection,
        session.scalar(select(func.count()).select_from(Image).where(*shown)) or 0,
        session.scalar(select(func.count()).select_from(table).where(*mine)) or 0,
        list(session.scalars(select(Image).where(*shown).order_by(Image.id).limit(_COVER))),
    )

"""Pages of rated pictures: list them, show one with its ratings, correct a rating or take it back."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_decimal
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.access import (
    answered_by,
    correction_refusal,
    current_collection,
    current_rater,
    may_see_explanation,
    may_see_scores,
    refuse_correction,
    viewable_by,
    visible_names,
)
from nimakit.web.db.queries import is_counted, lock_raters
from nimakit.web.db.tables import (
    FIRST,
    LARGEST_KEY,
    RATING,
    SKIP,
    Collection,
    Event,
    Gold,
    Image,
    Rater,
    Rating,
)
from nimakit.web.languages import gettext, lazy_gettext
from nimakit.web.predictions.tastes import learned_of, personal_positions
from nimakit.web.rating.store import correction, store_events
from nimakit.web.review.comparison_query import comparisons_with
from nimakit.web.review.picture_query import PAGE, neighbours, page_of, parse_query
from nimakit.web.review.shot import shot_of
from nimakit.web.services import services

blueprint = Blueprint("ratings", __name__, url_prefix="/c/<slug>/ratings")

_MAX_COMPARISONS = 200
_NO_RATING = lazy_gettext("There is no such rating to correct.")


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """List pictures with their ratings and predicted scores: raters see those they rated, the admin all."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        if collection.compares and not rater.is_admin:
            return redirect(url_for("comparisons.page", slug=slug))
        query = parse_query(request.args, collection, rater)
        entries = page_of(session, collection, rater, query)
        learned = learned_of(session, collection, rater) if may_see_scores(collection, rater) else None
    following = query.after(entries[-1].key, entries[-1].image.id) if len(entries) == PAGE else None
    return render_template(
        "ratings/page.html",
        collection=collection,
        query=query,
        entries=entries,
        following=following,
        learned=learned,
    )


@blueprint.get("/<int:key>")
def picture(slug: str, key: int) -> ResponseReturnValue:
    """Show a picture, its ratings and their history."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        image = _image(session, collection, key)
        if key not in viewable_by(session, collection, rater, [key]):
            abort(404)
        ratings, events = _given(session, rater, key)
        own = (
            personal_positions(session, collection, rater, [image])
            if may_see_scores(collection, rater)
            else {}
        )
        has_rated = answered_by(session, collection, rater, [key]).get(key, False)
        values = _values(session, collection, key)
        compared = comparisons_with(session, collection, rater, key, _MAX_COMPARISONS)
        mine = session.get(Rating, (key, rater.id, FIRST))
        gold = session.get(Gold, key) if rater.is_admin else None
        worse = session.get(Image, gold.worse_id) if gold and gold.worse_id else None
        last = None if mine is None else session.get(Event, mine.event_id)
        query = parse_query(request.args, collection, rater)
        previous, following = neighbours(session, collection, rater, query, key)
        names = visible_names(collection, rater, [image])
        return render_template(
            "ratings/picture.html",
            collection=collection,
            image=image,
            mine=mine,
            mine_is_taken_back=last is not None and last.is_taken_back,
            refusal=correction_refusal(collection, rater),
            step=_step(collection, None if mine is None else mine.value),
            ratings=ratings,
            events=events,
            comparisons=compared,
            compared=visible_names(
                collection, rater, [image for comparison in compared for image in comparison.images]
            ),
            own=own.get(image.id),
            people=_totals(collection, image, values),
            shares=_shares(collection, values),
            may_see_explanation=may_see_explanation(collection, rater),
            sees_others=rater.is_admin or (collection.show_others and has_rated),
            names=names,
            shot=shot_of(collection, image) if names else {},
            of_list=query.of_list,
            previous=previous,
            following=following,
            gold=gold,
            gold_worse=None if worse is None else worse.path,
        )


@blueprint.post("/<int:key>")
def correct(slug: str, key: int) -> ResponseReturnValue:
    """Correct your own rating, or take it back; the admin may take back anyone's."""
    rater = current_rater()
    with services().database.write() as session:
        collection = current_collection(session, slug)
        refuse_correction(collection, rater)
        image = _image(session, collection, key)
        whose = request.form.get("rater", rater.id, int)
        if whose != rater.id and not rater.is_admin:
            abort(403)
        if not 0 < whose <= LARGEST_KEY:
            abort(404, str(_NO_RATING))
        if collection.compares:
            abort(400, gettext("Pictures of this collection are compared, not rated."))
        lock_raters(session, [whose])
        rating = session.get(Rating, (image.id, whose, FIRST))
        value = _value(collection, None if rating is None else rating.value)
        if whose != rater.id and value is not None:
            abort(403)
        if rating is None:
            abort(404, str(_NO_RATING))
        act = correction(
            rater,
            collection_id=collection.id,
            rater_id=whose,
            kind=SKIP if value is None else RATING,
            image_id=image.id,
            value=value,
        )
        store_events(session, [act])
        of_list: dict[str, Any] = parse_query(request.args, collection, rater).of_list
    flash(
        gettext("The rating was taken back.")
        if value is None
        else gettext("You now rate it %(rating)s.", rating=format_decimal(value))
    )
    return redirect(url_for("ratings.picture", slug=slug, key=key, **of_list))


def _image(session: Session, collection: Collection, key: int) -> Image:
    image = session.get(Image, key)
    if image is None or image.collection_id != collection.id:
        abort(404)
    return image


def _given(session: Session, rater: Rater, key: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """The ratings of a picture that a rater may see, and all that was done, the latest first, with raters."""
    given = (
        select(Rating, Rater, Event)
        .join(Rater, Rater.id == Rating.rater_id)
        .join(Event, Event.id == Rating.event_id)
        .where(Rating.image_id == key)
        .order_by(Rating.occurred_at.desc())
    )
    history = select(Event, Rater).join(Rater, Rater.id == Event.rater_id).where(Event.image_id == key)
    if not rater.is_admin:
        given, history = given.where(Rater.id == rater.id), history.where(Rater.id == rater.id)
    return session.execute(given).all(), session.execute(history.order_by(Event.id.desc())).all()


def _step(collection: Collection, before: float | None) -> str:
    """The ``step`` of the form field that corrects a rating.

    1 in Score, unless the rating to correct is not a whole number: it was imported, or given in Rate.
    """
    if collection.experiment == "score" and (before is None or before % 1 == 0):
        return "1"
    return "0.1" if before is None or round(before, 1) == before else "any"


def _value(collection: Collection, before: float | None) -> float | None:
    """The submitted rating; None to take it back."""
    text = request.form.get("value", "")
    if text == "":
        return None
    try:
        value = round(float(text), 2)
    except ValueError:
        value = float("nan")
    whole = _step(collection, before) == "1"
    if not collection.low <= value <= collection.high or (whole and value % 1):
        limits = {"low": collection.low, "high": collection.high}
        rule = (
            gettext("A rating must be a whole number from %(low)s to %(high)s.", **limits)
            if whole
            else gettext("A rating must be a number from %(low)s to %(high)s.", **limits)
        )
        received = gettext("Received: %(received)s", received=text)
        abort(400, f"{rule} {received}")
    return value


def _values(session: Session, collection: Collection, key: int) -> list[float]:
    """Ratings of a picture, without repeats and excluded raters."""
    wanted = select(Rating.value).where(
        Rating.image_id == key, Rating.round == FIRST, is_counted(collection, Rating)
    )
    return [value for value in session.scalars(wanted) if value is not None]


def _totals(collection: Collection, image: Image, values: list[float]) -> tuple[int, float]:
    """Number of ratings and their sum, or number of comparisons and how many the picture won."""
    if collection.compares:
        return image.count, image.total
    return len(values), sum(values)


def _shares(collection: Collection, values: list[float]) -> list[tuple[int, int, float]]:
    """For each rating, how often it was given, absolutely and relative to the most frequent one."""
    counts = dict.fromkeys(collection.scale.values, 0)
    for value in values:
        counts[round(value)] += 1
    most = max(counts.values()) or 1
    return [(value, count, count / most) for value, count in counts.items()]

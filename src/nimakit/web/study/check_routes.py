"""The admin's page Checks: gold pictures, attention checks, and the rule for excluding raters."""

import tempfile
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from nimakit.errors import LabelError, NimakitError, UsageError
from nimakit.io.tables import SUFFIXES
from nimakit.web.access import admin_only, current_collection
from nimakit.web.db.tables import Checks, Collection, Gold, Image, Rater
from nimakit.web.rating.checks import checks_of
from nimakit.web.services import services
from nimakit.web.study.check_forms import ChecksForm
from nimakit.web.study.exclusion import apply_rule, reasons_of
from nimakit.web.study.gold import import_gold, remove_gold, set_gold, suggest_gold
from nimakit.wording import many

blueprint = Blueprint("checks", __name__, url_prefix="/c/<slug>/checks")

_MAX_PEOPLE = 200
_MOST_SUGGESTED = 20


@blueprint.route("", methods=["GET", "POST"])
@admin_only
def page(slug: str) -> ResponseReturnValue:
    """Show and change the checks of a collection; saving applies the rule at once."""
    with services().database.read() as session:
        collection = _checked(session, slug)
        checks = checks_of(session, collection)
    form = ChecksForm(obj=checks)
    if form.validate_on_submit():
        with services().database.write() as session:
            collection = current_collection(session, slug)
            stored = session.get(Checks, collection.id)
            if stored is None:
                stored = Checks(collection_id=collection.id)
                session.add(stored)
            form.store(stored)
        _apply(collection)
        return redirect(url_for("checks.page", slug=slug))
    return _rendered(collection, form)


@blueprint.post("/gold")
@admin_only
def upload(slug: str) -> ResponseReturnValue:
    """Take gold pictures from a table, or from the agreement of raters."""
    with services().database.read() as session:
        collection = _checked(session, slug)
    try:
        count = _suggest(collection) if request.form.get("suggest") else _import(collection)
    except (LabelError, UsageError) as error:
        return _refused(collection, error)
    flash(f"{many(count, 'gold picture')} set.")
    _apply(collection)
    return redirect(url_for("checks.page", slug=slug, _anchor="gold"))


@blueprint.post("/gold/<int:key>")
@admin_only
def change(slug: str, key: int) -> ResponseReturnValue:
    """Make a picture a gold picture, change its right answer, or make it an ordinary one."""
    refusal: UsageError | None = None
    with services().database.write() as session:
        collection = _checked(session, slug)
        image = session.get(Image, key)
        if image is None or image.collection_id != collection.id:
            abort(404)
        try:
            if request.form.get("remove"):
                remove_gold(session, image)
            elif collection.compares:
                set_gold(session, collection, image, worse=_named(session, collection))
            else:
                low, high = (request.form.get(name, None, float) for name in ("low", "high"))
                set_gold(session, collection, image, low=low, high=high)
        except UsageError as error:
            refusal = error
    if refusal is not None:  # the page may judge all raters, which would keep others from storing ratings
        return _refused(collection, refusal)
    flash("It is an ordinary picture now." if request.form.get("remove") else "It is a gold picture now.")
    _apply(collection)
    page = request.form.get("from")
    return redirect(
        url_for("checks.page", slug=slug, _anchor="gold")
        if page == "checks"
        else url_for("ratings.picture", slug=slug, key=key)
    )


def _rendered(collection: Collection, form: ChecksForm, problem: str = "") -> ResponseReturnValue:
    """The page, with what is wrong with gold pictures that were sent; empty if nothing is."""
    with services().database.read() as session:
        values = {
            "gold": _gold(session, collection),
            "tallies": services().evidence.of(session, collection).gold,
            "people": _people(session, collection),
            "most_people": _MAX_PEOPLE,
        }
        values |= {"collection": collection, "form": form, "problem": problem}
        return render_template("study/checks.html", **values), 400 if form.errors or problem else 200


def _refused(collection: Collection, error: NimakitError) -> ResponseReturnValue:
    """The page with an error, where the gold pictures were sent from."""
    with services().database.read() as session:
        form = ChecksForm(formdata=None, obj=checks_of(session, collection))
    return _rendered(collection, form, str(error))


def _checked(session: Session, slug: str) -> Collection:
    collection = current_collection(session, slug)
    if not collection.may_have_checks:
        abort(404)
    return collection


def _apply(collection: Collection) -> None:
    """Apply the rule after a change, and say what it did."""
    applied = apply_rule(services().database, services().evidence, collection)
    services().candidates.invalidate(collection.id)
    flash(f"Saved. {many(applied.excluded, 'rater')} newly excluded, {applied.included:,} included again.")


def _suggest(collection: Collection) -> int:
    amount = request.form.get("amount", 0, int)
    if not 1 <= amount <= _MOST_SUGGESTED:
        raise UsageError(f"The number of gold pictures must be from 1 to {_MOST_SUGGESTED}.")
    with services().database.write() as session:
        return suggest_gold(session, session.get_one(Collection, collection.id), amount)


def _import(collection: Collection) -> int:
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise UsageError("Choose a file first.")
    with tempfile.TemporaryDirectory() as folder:
        suffix = Path(sent.filename).suffix.lower()
        path = Path(folder, "gold" + (suffix if suffix in SUFFIXES else ""))
        sent.save(path)
        try:
            with services().database.write() as session:
                return import_gold(session, session.get_one(Collection, collection.id), path)
        except LabelError as error:
            raise LabelError(str(error).replace(str(path), sent.filename)) from error


def _named(session: Session, collection: Collection) -> Image | None:
    """The picture that a form names, by path or by name without suffix."""
    name = request.form.get("worse", "").strip()
    wanted = select(Image).where(
        Image.collection_id == collection.id, (Image.path == name) | (Image.image_id == name)
    )
    return session.scalars(wanted.order_by(Image.path != name).limit(1)).first()


def _gold(session: Session, collection: Collection) -> list[Any]:
    worse = aliased(Image)
    wanted = (
        select(Gold, Image, worse)
        .join(Image, Image.id == Gold.image_id)
        .outerjoin(worse, worse.id == Gold.worse_id)
        .where(Gold.collection_id == collection.id)
        .order_by(Image.path)
    )
    return list(session.execute(wanted).all())


def _people(session: Session, collection: Collection) -> list[dict[str, Any]]:
    """Rows of the table of raters: the excluded first, then those with least evidence of care."""
    found, excluded = services().evidence.of(session, collection).raters, reasons_of(session, collection)
    keys = sorted(found, key=lambda key: (key not in excluded, found[key].agreement))[:_MAX_PEOPLE]
    raters = {rater.id: rater for rater in session.scalars(select(Rater).where(Rater.id.in_(keys)))}
    fast = checks_of(session, collection).fast_ms
    return [
        {
            "rater": raters[key],
            "evidence": found[key],
            "why": excluded.get(key, ""),
            "fast": None if fast is None or not found[key].times else found[key].faster(fast),
        }
        for key in keys
    ]

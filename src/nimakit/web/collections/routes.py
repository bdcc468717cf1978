"""Admin pages: new collections, settings, raters and invitations."""

import os
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.access import admin_only, current_collection
from nimakit.web.accounts.links import leads_elsewhere, link, qr_code
from nimakit.web.accounts.raters import invitation_problem
from nimakit.web.collections.forms import CollectionForm, InvitationForm, NewCollectionForm
from nimakit.web.collections.members import LAST_PAGE, PER_PAGE, find_members
from nimakit.web.collections.setup import add_collection, change_collection, is_rated, refuse_change
from nimakit.web.db.queries import explained_pictures
from nimakit.web.db.tables import (
    BROKEN,
    LEFT_OUT,
    MISSING,
    OK,
    Collection,
    Image,
    Invitation,
    Membership,
    Rater,
)
from nimakit.web.services import services
from nimakit.web.study.exclusion import lock_exclusions, overrule

blueprint = Blueprint("admin", __name__)

_LISTED = 100
_LONGEST_SEARCH = 100
_NEWEST = 10
"""Number of invitations in view; older ones are folded away."""
_EXPLAINED = "explained"
_OF_INVITATIONS = "invitations"
"""Category of messages that are shown next to the invitations."""


@blueprint.route("/collections/new", methods=["GET", "POST"])
@admin_only
def new() -> ResponseReturnValue:
    """Create a collection from a folder given by --images, or from one inside it."""
    form = NewCollectionForm()
    roots = services().settings.folders
    form.offer(roots)
    if form.validate_on_submit():
        try:
            folder = _folder(roots[int(form.root.data)], form.inside.data or "")
            with services().database.write() as session:
                collection = add_collection(session, folder, **form.values())
        except UsageError as error:
            form.form_errors.append(str(error))
        else:
            services().background.wake(collection.id)
            return redirect(url_for("collections.start", slug=collection.slug))
    return render_template("admin/new.html", form=form), (400 if form.errors else 200)


@blueprint.route("/c/<slug>/settings", methods=["GET", "POST"])
@admin_only
def settings(slug: str) -> ResponseReturnValue:
    """The settings of a collection, and the problems of its pictures."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        states = _states(session, collection)
        problems = session.scalars(
            select(Image)
            .where(Image.collection_id == collection.id, Image.state.in_([MISSING, BROKEN]))
            .order_by(Image.path)
            .limit(_LISTED)
        ).all()
        is_fixed = is_rated(session, collection)
    form = CollectionForm(obj=collection)
    if form.validate_on_submit():
        try:
            with services().database.write() as session:
                change_collection(session, session.get_one(Collection, collection.id), **form.values())
        except UsageError as error:
            form.form_errors.append(str(error))
        else:
            services().candidates.invalidate(collection.id)
            services().background.wake()
            flash("Saved.")
            return redirect(url_for("admin.settings", slug=slug))
    if is_fixed:
        form.fix()
    return render_template(
        "admin/settings.html",
        form=form,
        collection=collection,
        states=states,
        problems=problems,
        is_uploaded=services().uploads.owns(collection),
    ), (400 if form.errors else 200)


@blueprint.post("/collections/new/check")
@admin_only
def check_new() -> ResponseReturnValue:
    """Check the settings of a new collection before they are sent, as `check_settings` does."""
    form = NewCollectionForm()
    form.offer(services().settings.folders)
    return jsonify(_problems(form))


@blueprint.post("/c/<slug>/settings/check")
@admin_only
def check_settings(slug: str) -> ResponseReturnValue:
    """Check settings as soon as they change in the form: the problems of each field, and of the form."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        form = CollectionForm(obj=collection)
        problems = _problems(form)
        try:
            if not any(problems.values()):
                refuse_change(session, collection, **form.values())
        except UsageError as error:
            problems["form"] = [str(error)]
    return jsonify(problems)


@blueprint.get("/collections/models")
@admin_only
def models() -> ResponseReturnValue:
    """The models and encoders that a collection may use, each file checked."""
    return jsonify(services().models.find())


@blueprint.post("/c/<slug>/scan")
@admin_only
def scan(slug: str) -> ResponseReturnValue:
    """Scan the folder now."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    services().background.wake(collection.id)
    flash("The folder is being scanned.")
    return redirect(url_for("admin.settings", slug=slug))


@blueprint.route("/c/<slug>/people", methods=["GET", "POST"])
@admin_only
def people(slug: str) -> ResponseReturnValue:
    """The invitations, and the raters with their progress, a page at a time."""
    form = InvitationForm()
    with services().database.read() as session:
        collection = current_collection(session, slug)
    if form.validate_on_submit():
        with services().database.write() as session:
            session.add(form.invitation(collection.id))
        flash("The link is ready. Send it to the people you invite.", _OF_INVITATIONS)
        return redirect(url_for("admin.people", slug=slug, _anchor="links"))
    number = min(max(request.args.get("page", 1, int), 1), LAST_PAGE)
    asked = request.args.get("q", "").strip()[:_LONGEST_SEARCH]
    with services().database.read() as session:
        invitations = session.scalars(
            select(Invitation).where(Invitation.collection_id == collection.id).order_by(Invitation.id.desc())
        ).all()
        members, count = find_members(session, collection, asked, number)
        return render_template(
            "admin/people.html",
            collection=collection,
            form=form,
            invitations=[(one, _link(one), invitation_problem(one)) for one in invitations],
            newest=_NEWEST,
            qr_code=qr_code,
            leads_elsewhere=leads_elsewhere(link("accounts.welcome")),
            asked=asked,
            members=members,
            count=count,
            page=number,
            pages=-(-count // PER_PAGE) or 1,
            is_local=services().settings.is_local,
        )


@blueprint.post("/c/<slug>/people/<int:rater_id>")
@admin_only
def exclude(slug: str, rater_id: int) -> ResponseReturnValue:
    """Exclude a rater from exports and figures, or include them again; their ratings stay."""
    with services().database.write() as session:
        collection = current_collection(session, slug)
        lock_exclusions(session, collection)
        member = session.get(Membership, (rater_id, collection.id))
        if member is None:
            if session.get(Rater, rater_id) is None:
                abort(404)
            member = Membership(rater_id=rater_id, collection_id=collection.id)
            session.add(member)
        member.excluded = request.form.get("excluded") == "1"
        overrule(session, rater_id, collection.id)
    number = request.form.get("page", 1, int)
    asked = request.form.get("q") or None
    page = None if number == 1 else number
    return redirect(url_for("admin.people", slug=slug, page=page, q=asked, _anchor="raters"))


@blueprint.post("/c/<slug>/invitations/<int:key>")
@admin_only
def revoke(slug: str, key: int) -> ResponseReturnValue:
    """Withdraw an invitation; raters who joined by it stay."""
    with services().database.write() as session:
        collection = current_collection(session, slug)
        invitation = session.get(Invitation, key)
        if invitation is None or invitation.collection_id != collection.id:
            abort(404)
        invitation.revoked = True
    flash("The invitation was withdrawn.", _OF_INVITATIONS)
    return redirect(url_for("admin.people", slug=slug, _anchor="links"))


def _states(session: Session, collection: Collection) -> dict[str, int]:
    """Number of pictures in each state, those to be rated first; a study's texts have one of their own."""
    own = Image.collection_id == collection.id
    counts = select(Image.state, func.count()).where(own).group_by(Image.state)
    found: dict[str, int] = dict(session.execute(counts).all())
    is_explained = own & (Image.state == OK) & Image.path.in_(explained_pictures(session, collection))
    if explained := session.scalar(select(func.count()).select_from(Image).where(is_explained)):
        found |= {OK: found[OK] - explained, _EXPLAINED: explained}
    return {state: found[state] for state in (OK, _EXPLAINED, LEFT_OUT, MISSING, BROKEN) if state in found}


def _problems(form: CollectionForm) -> dict[str, Any]:
    """What is wrong in each field of a form, by name; and with the form itself."""
    form.validate_on_submit()
    return {"fields": {field.name: field.errors for field in form if field.errors}, "form": []}


def _folder(root: Path, inside: str) -> Path:
    """A folder inside one given by --images.

    Raises:
        UsageError: It does not exist, or is outside.
    """
    folder = Path(os.path.normpath(root / inside.strip().strip("/")))
    if not folder.resolve().is_relative_to(root.resolve()) or not folder.is_dir():
        raise UsageError("The folder must exist inside the chosen folder.")
    return folder


def _link(invitation: Invitation) -> str:
    return link("accounts.join", token=services().links.invitation(invitation))

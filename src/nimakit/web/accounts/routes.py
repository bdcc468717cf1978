"""Pages to join, sign in and out, and continue on another device."""

import secrets

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user  # type: ignore[import-untyped]
from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from sqlalchemy import select
from wtforms import PasswordField, StringField  # type: ignore[import-untyped]
from wtforms.validators import InputRequired, Length  # type: ignore[import-untyped]

from nimakit.errors import UsageError
from nimakit.web.access import User, current_rater, limiter
from nimakit.web.accounts import raters
from nimakit.web.accounts.links import leads_elsewhere, link, qr_code, with_query
from nimakit.web.db.queries import is_listed
from nimakit.web.db.tables import LOCAL, Collection, Rater, Study
from nimakit.web.languages import gettext, lazy_gettext
from nimakit.web.services import services

blueprint = Blueprint("accounts", __name__)

ATTEMPTS = "10 per minute; 100 per hour"
"""Rate limit of forms that let people in, per address."""


def has_failed(response: Response) -> bool:
    """Only failed attempts count: a whole class may join by one link from one address."""
    return response.status_code >= 400


class NameForm(FlaskForm):  # type: ignore[misc]
    """The form for new raters."""

    name = StringField(
        lazy_gettext("Your name"),
        [Length(max=80, message=lazy_gettext("A name must have at most 80 characters."))],
    )


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """The form to sign in as admin."""

    password = PasswordField(lazy_gettext("Password"), [InputRequired(lazy_gettext("Enter the password."))])


@blueprint.get("/welcome")
def welcome() -> ResponseReturnValue:
    """The page for visitors without a link."""
    with services().database.read() as session:
        wanted = select(Collection).where(Collection.sign_up, is_listed()).order_by(Collection.name)
        return render_template(
            "accounts/welcome.html",
            collections=list(session.scalars(wanted)),
            has_password=raters.has_password(session),
        )


@blueprint.route("/join/<token>", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"], deduct_when=has_failed)
def join(token: str) -> ResponseReturnValue:
    """Accept an invitation."""
    form, rater = NameForm(), _this_rater()
    with services().database.read() as session:
        invitation = services().links.find_invitation(session, token)
        if invitation is None:
            abort(404, gettext("This invitation link is incomplete. Open the whole link you were given."))
        collection = session.get_one(Collection, invitation.collection_id)
        if collection.archived_at is not None or collection.deleted_at is not None:
            abort(410, gettext("This collection is not open any more."))
        study = session.get(Study, collection.id)
        if study is not None and study.is_on:
            return redirect(with_query(url_for("study.start", token=token)))
        known = rater is not None and raters.may_rate(session, rater, collection.id)
        problem = "" if known else raters.invitation_problem(invitation)
    if form.validate_on_submit() and not problem:
        try:
            with services().database.write() as session:
                entering = rater or raters.new_rater(session, form.name.data or "")
                raters.accept_invitation(session, invitation, entering)
            return enter(entering, url_for("collections.start", slug=collection.slug))
        except UsageError as error:  # another rater took the last place
            problem = str(error)
    values = {"form": form, "collection": collection, "problem": problem, "ask_name": rater is None}
    return render_template("accounts/join.html", **values), (410 if problem else 200)


@blueprint.post("/sign-up/<slug>")
@limiter.limit(ATTEMPTS)
def sign_up(slug: str) -> ResponseReturnValue:
    """Join without an invitation, if the collection allows it."""
    form = NameForm()
    with services().database.write() as session:
        wanted = select(Collection).where(Collection.slug == slug, Collection.sign_up, is_listed())
        collection = session.scalars(wanted).one_or_none()
        if collection is None:
            abort(404)
        if not form.validate_on_submit():
            abort(400, gettext("A name must have at most 80 characters."))
        rater = _this_rater() or raters.new_rater(session, form.name.data or "")
        raters.join(session, rater, collection.id)
    return enter(rater, url_for("collections.start", slug=slug))


@blueprint.get("/me")
def me() -> ResponseReturnValue:
    """The rater's pseudonym, and their link to continue on another device."""
    rater = current_rater()
    address = link("accounts.resume", token=services().links.personal(rater))
    return render_template(
        "accounts/me.html",
        rater=rater,
        link=address,
        qr_code=qr_code,
        can_be_opened=leads_elsewhere(address),
        is_local=services().settings.is_local,
        can_sign_out=not _needs_no_session(rater),
    )


@blueprint.post("/me/link")
def renew_link() -> ResponseReturnValue:
    """Replace the personal link, and end all other sessions."""
    with services().database.write() as session:
        rater = session.get_one(Rater, current_rater().id)
        rater.link_version += 1
    flash(gettext("The old link no longer works. Other devices are signed out."))
    return enter(rater, url_for("accounts.me"))


@blueprint.route("/go-on/<token>", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"], deduct_when=has_failed)
def resume(token: str) -> ResponseReturnValue:
    """Continue as the rater of a personal link, after a click because some mail readers open links."""
    with services().database.read() as session:
        rater = services().links.find_rater(session, token)
    if rater is None:
        abort(404, gettext("This link no longer works. Ask for a new one where you are signed in."))
    if request.method == "POST":
        return enter(rater, url_for("collections.index"))
    return render_template("accounts/resume.html", rater=rater)


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"])
def login() -> ResponseReturnValue:
    """Sign in as the admin."""
    form = PasswordForm()
    with services().database.read() as session:
        if not raters.has_password(session):  # a local app, which needs no sign-in
            return redirect(url_for("collections.overview"))
        if form.validate_on_submit():
            admin = raters.admin_of(session, form.password.data)
            if admin is not None:
                return enter(admin, url_for("collections.overview"))
            form.password.errors = [gettext("The password is wrong.")]
    return render_template("accounts/login.html", form=form), (401 if form.errors else 200)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out on this device. The session ends on the server, so that copied cookies no longer work."""
    if current_user.is_authenticated and not _needs_no_session(current_user.rater):
        with services().database.write() as session:
            raters.end_session(session, current_user.rater, current_user.get_id())
    logout_user()
    is_local = services().settings.is_local
    return redirect(url_for("collections.overview" if is_local else "accounts.welcome"))


def _needs_no_session(rater: Rater) -> bool:
    """Whether this is the local rater, who need not sign in."""
    return rater.role == LOCAL and services().settings.is_local


def _this_rater() -> Rater | None:
    """The rater who is signed in and joins another collection; None for the local rater, who joins anew."""
    rater: Rater | None = current_user.rater if current_user.is_authenticated else None
    return None if rater is None or rater.role == LOCAL else rater


def enter(rater: Rater, address: str) -> ResponseReturnValue:
    """Sign a rater in, and go on to a page."""
    login_user(User(rater, session=secrets.token_urlsafe(16)), remember=True)
    return redirect(address)

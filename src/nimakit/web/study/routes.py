"""The pages of a study for raters: consent, instructions, and the end."""

from urllib.parse import quote, urlsplit

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]
from markupsafe import Markup
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.access import current_collection, current_rater, limiter, visited_collection, visited_study
from nimakit.web.accounts import raters
from nimakit.web.accounts.links import with_query
from nimakit.web.accounts.routes import ATTEMPTS, enter, has_failed
from nimakit.web.db.tables import (
    ADMIN,
    BEST_WORST,
    Collection,
    Image,
    Invitation,
    Participation,
    PlatformId,
    Rater,
    Study,
    StudyVersion,
)
from nimakit.web.languages import gettext
from nimakit.web.pictures.routes import send_picture
from nimakit.web.rating.deck import picture
from nimakit.web.rating.remaining import has_more, needs_raters
from nimakit.web.services import services
from nimakit.web.study import participation as way
from nimakit.web.study.platforms import (
    PLATFORMS,
    Identity,
    find_identity,
    read_identity,
    refuse_unidentified,
)
from nimakit.web.study.texts import find_pictures, picture_names, render

blueprint = Blueprint("study", __name__)

_RATING = ("score", "rate", "preference", BEST_WORST)
_SCRIPTED = ("deck", "events")
_REVIEW = ("ratings", "why", "comparisons", "similarity")
_SHOWN = 1280
"""Longer side of pictures in texts, in pixels."""


@blueprint.before_app_request
def require_steps() -> ResponseReturnValue | None:
    """Let raters of a study rate only after they agreed, read and practised, and while they have a place.

    Pages that show pictures again, or let raters change their answers, are not part of a study.
    """
    is_limited = request.blueprint in (*_RATING, *_SCRIPTED, *_REVIEW) and current_user.is_authenticated
    # Also of the admin, whose answers count only if they take part.
    study: Study | None = current_user.study if is_limited else None
    if study is None:
        return None
    if request.blueprint in _REVIEW:
        return None if visited_study() is None else abort(403, gettext("This page is not part of the study."))
    participation: Participation | None = current_user.participation
    step = way.step_of(participation)
    is_page = request.blueprint in _RATING and request.endpoint == f"{request.blueprint}.page"
    if is_page:
        is_admin = current_rater().is_admin
        has_place = participation is not None and (is_admin or not way.has_lost_place(study, participation))
        return None if step == "rate" and has_place else redirect(_here("step"))
    if step not in ("rate", "done"):
        abort(403, gettext("Follow the steps of the study first. Open its link again."))
    if request.blueprint != "events" and participation is not None:  # answers that were given are stored
        _require_place(study, participation)
    return None


@blueprint.route("/study/<token>", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"], deduct_when=has_failed)
def start(token: str) -> ResponseReturnValue:
    """The link of a study: its consent, or the next step of raters who return by it."""
    with services().database.read() as session:
        invitation, study, collection = _find(session, token)
        if study is None:
            return redirect(with_query(url_for("accounts.join", token=token)))
        try:
            _refuse_admin()
            identity = _identity(session, study)
            rater = _returning(session, study, identity)
            if rater is not None and _takes_part(session, study, rater):
                return enter(rater, url_for("study.step", slug=collection.slug))
            _refuse(session, study, collection, invitation)
        except UsageError as error:
            return _refused(collection, study, str(error))
    if request.method == "GET":
        return _consent(collection, token=token)
    try:
        with services().database.write() as session:
            rater = _take_part(session, invitation, identity)
    except UsageError as error:  # another rater took the last place
        return _refused(collection, study, str(error))
    return enter(rater, url_for("study.step", slug=collection.slug))


def _find(session: Session, token: str) -> tuple[Invitation, Study | None, Collection]:
    """The invitation of a link, and its collection with its study if that is on."""
    invitation = services().links.find_invitation(session, token)
    if invitation is None:
        abort(404, gettext("This link is incomplete. Open the whole link you were given."))
    study = session.get(Study, invitation.collection_id)
    collection = session.get_one(Collection, invitation.collection_id)
    if collection.archived_at is not None or collection.deleted_at is not None:
        abort(410, gettext("This study is not open any more."))
    return invitation, study if study is not None and study.is_on else None, collection


def _identity(session: Session, study: Study) -> Identity | None:
    """Who opens a link, on their platform; None for raters from anywhere, and for those who continue.

    Raises:
        UsageError: The link lacks the ids of the required platform, and the browser is not a participant's.
    """
    rater: Rater | None = current_user.rater if current_user.is_authenticated else None
    is_plain = not study.platform or PLATFORMS[study.platform].participant not in request.args
    if rater is not None and not rater.is_admin and is_plain and _takes_part(session, study, rater):
        return None
    return read_identity(request.args, study.platform)


def _takes_part(session: Session, study: Study, rater: Rater) -> bool:
    return session.get(Participation, (rater.id, study.collection_id)) is not None


def _returning(session: Session, study: Study, identity: Identity | None) -> Rater | None:
    """The rater who opens a link, if they are known: by their session on the platform, or else by the cookie.

    Raises:
        UsageError: They have taken part in another session of the platform.
    """
    signed_in: Rater | None = current_user.rater if current_user.is_authenticated else None
    if identity is None:
        return None if signed_in is None or signed_in.is_admin else signed_in
    known = find_identity(session, study.collection_id, identity)
    if known is None:
        return None
    is_same = known.session != "" and known.session == identity.session
    if is_same or (signed_in is not None and signed_in.id == known.rater_id):
        return session.get_one(Rater, known.rater_id)
    raise UsageError(gettext("You have taken part in this study before. Each person can take part once."))


def _refuse(session: Session, study: Study, collection: Collection, invitation: Invitation) -> None:
    """Refuse new raters who cannot take part.

    Raises:
        UsageError: The study is closed, full or complete, or its link no longer works.
    """
    if problem := raters.invitation_problem(invitation):
        raise UsageError(problem)
    _refuse_closed(session, study, collection)


def _refuse_admin() -> None:
    """Keep the admin's session, which that of a rater would replace.

    Raises:
        UsageError: The admin is signed in. The local rater need not sign in, and may try the study.
    """
    if current_user.is_authenticated and current_user.rater.role == ADMIN:
        raise UsageError(
            gettext("You are signed in as the admin. To try the study, open its link in a private window.")
        )


def _refuse_closed(session: Session, study: Study, collection: Collection) -> None:
    """Refuse new raters where there is nothing for them.

    Raises:
        UsageError: The study is closed, full or complete.
    """
    if not collection.is_open:
        raise UsageError(gettext("This study does not accept ratings at the moment."))
    way.refuse_full(session, study)
    if not needs_raters(session, collection):
        raise UsageError(gettext("This study has all the answers it needs. Thank you for your interest."))


def _take_part(session: Session, invitation: Invitation, identity: Identity | None) -> Rater:
    """Create a rater who agreed, or let a known one take part.

    Raises:
        UsageError: The last place or use of the link was taken meanwhile.
    """
    study = way.lock_study(session, invitation.collection_id)
    rater = _returning(session, study, identity)  # a double click sends the form twice
    is_new = rater is None
    rater = rater or raters.new_rater(session)
    raters.accept_invitation(session, invitation, rater)
    way.agree(session, study, rater, _agreed_version(session, study.collection_id))
    if identity is not None and is_new:
        session.add(
            PlatformId(
                rater_id=rater.id,
                collection_id=study.collection_id,
                platform=identity.platform,
                participant=identity.participant,
                study=identity.study,
                session=identity.session,
            )
        )
    return rater


def _agreed_version(session: Session, collection_id: int) -> StudyVersion:
    """The version that a form of consent showed.

    Raises:
        UsageError: The texts have changed since.
    """
    version = way.latest_version(session, collection_id)
    if version is None or request.form.get("version") != str(version.number):
        raise UsageError(gettext("The text has changed meanwhile. Open the link again and read it."))
    return version


@blueprint.get("/study/<token>/pictures/<int:key>")
def consent_picture(token: str, key: int) -> ResponseReturnValue:
    """A picture of a study's texts, for those who have its link."""
    with services().database.read() as session:
        _, study, collection = _find(session, token)
        version = None if study is None else way.latest_version(session, collection.id)
        image = session.get(Image, key)
        if image is None or image.collection_id != collection.id:
            abort(404)
        if version is None or image.path not in version.pictures:
            abort(404)
    return send_picture(collection, image, _SHOWN)


@blueprint.get("/c/<slug>/study")
def step(slug: str) -> ResponseReturnValue:
    """The next step of the rater."""
    study, participation = _visited(slug)
    if participation is None:
        return _consent(visited_collection(slug))
    match way.step_of(participation):
        case "instructions":
            return redirect(_here("instructions"))
        case "practice":
            return redirect(url_for("practice.page", slug=slug))
        case "done":
            return redirect(_here("done"))
        case _:
            _require_place(study, participation)
            return redirect(url_for("collections.start", slug=slug))


@blueprint.post("/c/<slug>/study")
def accept(slug: str) -> ResponseReturnValue:
    """Take part in a study as a member of its collection, who joined without its link."""
    _visited(slug)
    rater, collection = current_rater(), visited_collection(slug)
    try:
        with services().database.write() as session:
            study = way.lock_study(session, collection.id)
            if not rater.is_admin:
                refuse_unidentified(study.platform)
                _refuse_closed(session, study, collection)
            way.agree(session, study, rater, _agreed_version(session, collection.id))
    except UsageError as error:
        return _refused(collection, current_user.study, str(error))
    return redirect(_here("step"))


@blueprint.route("/c/<slug>/study/instructions", methods=["GET", "POST"])
def instructions(slug: str) -> ResponseReturnValue:
    """The instructions and examples, which raters can read again at any time."""
    _, participation = _visited(slug)
    if participation is None:
        return redirect(_here("step"))
    if request.method == "POST":
        with services().database.write() as session:
            way.finish_reading(session, session.merge(participation))
        return redirect(_here("step"))
    with services().database.read() as session:
        collection = current_collection(session, slug)
        version = session.get_one(StudyVersion, participation.version_id)
        named = find_pictures(session, collection, [one["picture"] for one in version.examples])
        return render_template(
            "study/instructions.html",
            collection=collection,
            text=rendered(session, collection, version.instructions),
            examples=[
                {"src": _address(collection, named[one["picture"]]), "text": one["text"]}
                for one in version.examples
                if one["picture"] in named
            ],
            is_first=participation.read_at is None,
            has_practice=bool(version.practice) and participation.ready_at is None,
        )


@blueprint.get("/c/<slug>/study/done")
def done(slug: str) -> ResponseReturnValue:
    """Finish, if the rater has answered everything: their completion code, and the way back."""
    study, participation = _visited(slug)
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        is_finished = way.step_of(participation) == "done" or (
            way.step_of(participation) == "rate" and not has_more(session, collection, rater, study)
        )
        thanks = rendered(session, collection, study.thanks)
    if participation is None or not is_finished:
        return redirect(_here("step"))
    if participation.finished_at is None:
        participation = _finish(participation)
    address = study.link.replace("{code}", quote(participation.code, safe=""))
    if study.redirects and address:
        return redirect(address)
    values = {"code": participation.code, "address": address, "host": urlsplit(address).hostname}
    return render_template("study/done.html", collection=collection, thanks=thanks, **values)


def _visited(slug: str) -> tuple[Study, Participation | None]:
    """The study in the address, and how far the rater is in it; 404 if there is none."""
    visited_collection(slug)
    if current_user.study is None:
        abort(404)
    return current_user.study, current_user.participation


def _require_place(study: Study, participation: Participation) -> None:
    """Answer 403 if the rater took too long and all other places are taken."""
    if way.has_lost_place(study, participation):
        with services().database.write() as session:
            _keep_place(session, participation)


def _finish(participation: Participation) -> Participation:
    """Store that the rater has finished; 403 if their place was given to another."""
    with services().database.write() as session:
        study, current = _keep_place(session, participation)
        if current.finished_at is None:
            way.finish(study, current)
        return current


def _keep_place(session: Session, participation: Participation) -> tuple[Study, Participation]:
    """Lock a study and a rater's place in it; 403 if the place was given to another."""
    study = way.lock_study(session, participation.collection_id)
    key = (participation.rater_id, participation.collection_id)
    current = session.get_one(Participation, key, with_for_update=True, populate_existing=True)
    if not current_rater().is_admin and not way.keep_place(session, study, current):
        abort(403, gettext("The time for this study is over, and your place was given to another person."))
    return study, current


def _here(page: str) -> str:
    return url_for(f"study.{page}", slug=current_user.collection.slug)


def _consent(collection: Collection, token: str | None = None) -> ResponseReturnValue:
    """The page of consent; visitors with the study's link see its pictures by the token."""
    with services().database.read() as session:
        version = way.latest_version(session, collection.id)
        text = rendered(session, collection, version.consent if version else "", token)
    values = {"text": text, "number": version.number if version else 0}
    is_admin = token is None and current_rater().is_admin  # by the link, the local rater becomes a new one
    return render_template("study/consent.html", collection=collection, is_admin=is_admin, **values)


def _refused(collection: Collection, study: Study, reason: str) -> ResponseReturnValue:
    platform = PLATFORMS.get(study.platform)
    name = platform.name if platform else ""
    return render_template("study/refused.html", collection=collection, reason=reason, platform=name), 403


def rendered(session: Session, collection: Collection, text: str, token: str | None = None) -> Markup:
    """The HTML of one of a study's texts.

    Args:
        session: From `Database.read`.
        collection: The collection, with the pictures in the text.
        text: Markdown.
        token: That of the study's link, for visitors who are no raters yet.
    """
    found = find_pictures(session, collection, picture_names(text))
    return render(text, {name: _address(collection, image, token) for name, image in found.items()})


def _address(collection: Collection, image: Image, token: str | None = None) -> str:
    if token is not None:
        return url_for("study.consent_picture", token=token, key=image.id)
    shown = picture(collection, image)
    return f"{shown['src']}{_SHOWN}?v={shown['version']}"

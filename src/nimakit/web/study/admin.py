"""The admin's page of a study: settings, texts, how far raters are, and the table of participants."""

import io
import secrets

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.io.delimited import TableWriter
from nimakit.web.access import admin_only, current_collection
from nimakit.web.accounts.links import link, qr_code
from nimakit.web.db.tables import (
    Collection,
    Invitation,
    Membership,
    Participation,
    Study,
    StudyVersion,
)
from nimakit.web.services import services
from nimakit.web.study.forms import StudyForm
from nimakit.web.study.participants import COLUMNS, ID_COLUMNS, participant_rows
from nimakit.web.study.participation import has_lost_place, latest_version
from nimakit.web.study.platforms import PLATFORMS
from nimakit.web.study.setup import save_study

blueprint = Blueprint("study_admin", __name__, url_prefix="/c/<slug>/study")


@blueprint.route("/settings", methods=["GET", "POST"])
@admin_only
def settings(slug: str) -> ResponseReturnValue:
    """The settings and texts of a study."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        study, version = session.get(Study, collection.id), latest_version(session, collection.id)
    form = StudyForm(collection, study, version)
    if form.validate_on_submit():
        try:
            with services().database.write() as session:
                save_study(session, current_collection(session, slug), form.values(), form.texts())
        except UsageError as error:
            form.form_errors.append(str(error))
        else:
            services().candidates.invalidate(collection.id)
            flash("Saved.")
            return redirect(url_for("study_admin.settings", slug=slug))
    with services().database.read() as session:
        platform = PLATFORMS.get(study.platform) if study else None
        trial = f"trial-{secrets.token_hex(4)}"
        values = {
            "address": _address(session, study),
            "qr_code": qr_code,
            "query": platform.query if platform else "",
            "trial": trial,
            "trial_query": platform.trial(trial) if platform else "",
            "versions": _versions(session, collection),
            "progress": _progress(session, study),
        }
    status = 400 if form.errors else 200
    return render_template(
        "study/settings.html", collection=collection, form=form, study=study, **values
    ), status


@blueprint.get("/participants.csv")
@admin_only
def participants(slug: str) -> ResponseReturnValue:
    """A table of the raters who agreed to take part; with ids of their platform only if asked for."""
    with_ids = request.args.get("ids") == "1"
    stream = io.StringIO(newline="")
    table = TableWriter(stream)
    columns = COLUMNS + (ID_COLUMNS if with_ids else ())
    table.row(columns)
    with services().database.read() as session:
        for row in participant_rows(session, current_collection(session, slug), with_ids=with_ids):
            table.row(row[column] for column in columns)
    response = Response(stream.getvalue(), mimetype="text/csv")
    name = f"{slug}-participants{'-with-ids' if with_ids else ''}.csv"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    response.headers["Cache-Control"] = "no-store"
    return response


def _address(session: Session, study: Study | None) -> str:
    """The link of a study; empty if it is off or its invitation was withdrawn."""
    invitation = session.get(Invitation, study.invitation_id) if study and study.invitation_id else None
    if study is None or not study.is_on or invitation is None or invitation.revoked:
        return ""
    return link("study.start", token=services().links.invitation(invitation))


def _versions(session: Session, collection: Collection) -> list[tuple[StudyVersion, int]]:
    """The versions of the texts, the latest first, each with the number of raters who agreed to it."""
    rows = session.execute(
        select(StudyVersion, func.count(Participation.rater_id))
        .outerjoin(Participation, Participation.version_id == StudyVersion.id)
        .where(StudyVersion.collection_id == collection.id)
        .group_by(StudyVersion.id)
        .order_by(StudyVersion.number.desc())
    )
    return [(version, count) for version, count in rows]


def _progress(session: Session, study: Study | None) -> dict[str, int]:
    """Number of raters who finished, are in progress, timed out, and are excluded; empty without a study."""
    if study is None:
        return {}
    wanted = (
        select(Participation, Membership.excluded)
        .join(
            Membership,
            (Membership.rater_id == Participation.rater_id)
            & (Membership.collection_id == Participation.collection_id),
            isouter=True,
        )
        .where(Participation.collection_id == study.collection_id)
    )
    counts = {"finished": 0, "in progress": 0, "timed out": 0, "excluded": 0}
    for one, is_excluded in session.execute(wanted):
        is_late = has_lost_place(study, one)
        state = "finished" if one.finished_at else "timed out" if is_late else "in progress"
        counts["excluded" if is_excluded else state] += 1
    return counts

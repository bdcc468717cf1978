"""The route for events (ratings, skips, choices), which browsers send in batches until acknowledged."""

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue
from flask_limiter.util import get_remote_address
from flask_login import current_user  # type: ignore[import-untyped]

from nimakit.web.access import current_rater, limiter, refuse_closed, visited_collection, visited_study
from nimakit.web.languages import gettext
from nimakit.web.rating.validation import MOST_EVENTS, Batch
from nimakit.web.services import services

blueprint = Blueprint("events", __name__, url_prefix="/c/<slug>/events")


_BATCHES = "600 per minute"
"""Rate limit of one rater. Browsers wait for the answer to a batch, and resend a refused one later."""


def _sender() -> str:
    return f"rater {current_user.rater.id}" if current_user.is_authenticated else get_remote_address()


@blueprint.post("")
@limiter.limit(_BATCHES, key_func=_sender)
def receive(slug: str) -> ResponseReturnValue:
    """Store events. They are on disk before this answers; sending them again changes nothing."""
    rater = current_rater()
    body = request.get_json()
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or len(events) > MOST_EVENTS:
        abort(400, f"The body must be an object with at most {MOST_EVENTS} events.")
    if body.get("rater") != rater.code:
        abort(409, gettext("Another rater is signed in here now."))
    collection = visited_collection(slug)
    refuse_closed(collection)
    batch = Batch(collection, rater, events, in_study=visited_study() is not None)
    written = services().write_queue.write(batch)
    return jsonify(
        accepted=written.outcome.accepted,
        refused=[{"id": key, "reason": str(reason)} for key, reason in written.outcome.refused],
        done=written.done,
    )

"""Practice: the tasks of a round, the feedback on each answer, and the result of a round."""

from random import Random
from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_decimal
from flask_login import current_user  # type: ignore[import-untyped]
from sqlalchemy.orm import Session

from nimakit.io.rules import is_integer, is_number
from nimakit.web.access import current_collection, current_rater
from nimakit.web.db.tables import CHOICE, FIRST, Collection, Image, Participation, StudyVersion, now
from nimakit.web.languages import gettext
from nimakit.web.rating.deck import picture, picture_items, read_query
from nimakit.web.rating.ordering import Pick
from nimakit.web.services import services
from nimakit.web.study.participation import step_of
from nimakit.web.study.texts import find_pictures, suits

blueprint = Blueprint("practice", __name__, url_prefix="/c/<slug>/study/practice")

Task = dict[str, Any]


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """The page of the experiment, with practice tasks instead of the study's pictures."""
    participation = _participation()
    if step_of(participation) != "practice":
        return redirect(url_for("study.step", slug=slug))
    with services().database.read() as session:
        collection = current_collection(session, slug)
        if not _left(session, collection, participation):
            return redirect(url_for("practice.result", slug=slug))
    rater = current_rater()
    return render_template(
        f"{collection.experiment}/page.html", collection=collection, rater=rater, is_practice=True
    )


@blueprint.get("/tasks")
def tasks(slug: str) -> ResponseReturnValue:
    """The tasks of this round that are left, in the form of a deck; its query is that of a deck."""
    participation, (_, buffered) = _participation(), read_query()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        left = _left(session, collection, participation)
        total = len(_tasks(session, collection, participation))
        items = [
            _item(session, collection, number, images)
            for number, images in left.items()
            if not buffered.issuperset(image.id for image in images)
        ]
    done = total - len(left)
    return jsonify(items=items, history=[], done=done, skipped=0, total=total, pending=False)


@blueprint.post("/tasks")
def answer(slug: str) -> ResponseReturnValue:
    """Feedback on an answer, which counts for this round and is not stored as a rating."""
    participation, body = _participation(), request.get_json()
    if step_of(participation) != "practice":
        abort(409, gettext("You have practised already."))
    with services().database.write() as session:
        collection = current_collection(session, slug)
        known = _tasks(session, collection, participation)
        number = _number(body, known)
        task, shown = known[number]
        is_right, expected = _judge(body, task, shown)
        key = (participation.rater_id, participation.collection_id)
        stored = session.get_one(Participation, key, with_for_update=True, populate_existing=True)
        stored.practised = {str(number): is_right, **stored.practised}  # the first answer counts
        done = len(stored.practised)
    return jsonify(right=is_right, expected=expected, text=task["text"], done=done)


@blueprint.route("/result", methods=["GET", "POST"])
def result(slug: str) -> ResponseReturnValue:
    """The result of a round; the rater practises again, or begins to rate after enough right answers."""
    participation = _participation()
    if step_of(participation) != "practice":
        return redirect(url_for("study.step", slug=slug))
    with services().database.read() as session:
        collection = current_collection(session, slug)
        if _left(session, collection, participation):
            return redirect(url_for("practice.page", slug=slug))
        total = len(_tasks(session, collection, participation))
    right = sum(participation.practised.values())
    needed = min(current_user.study.practice_needed, total)
    if request.method == "GET":
        return render_template(
            "study/result.html", collection=collection, right=right, total=total, needed=needed
        )
    with services().database.write() as session:
        stored = session.merge(participation)
        if request.form.get("next") == "rate" and right >= needed:
            stored.ready_at = now()
            return redirect(url_for("study.step", slug=slug))
        stored.practice_rounds += 1
        stored.practised = {}
    return redirect(url_for("practice.page", slug=slug))


def _participation() -> Participation:
    """How far the rater is; 404 if there is no study, or they have not agreed to take part."""
    current_rater()
    participation: Participation | None = current_user.participation
    if participation is None:
        abort(404)
    return participation


def _tasks(
    session: Session, collection: Collection, participation: Participation
) -> dict[int, tuple[Task, list[Image]]]:
    """Number of a task -> the task and its pictures, of the tasks that can be shown.

    Those that cannot lack a picture, or were written for another experiment.
    """
    kind = (collection.experiment, collection.choices, collection.scale)
    practice = session.get_one(StudyVersion, participation.version_id).practice
    found = find_pictures(session, collection, [path for task in practice for path in task["pictures"]])
    return {
        number: (task, [found[path] for path in task["pictures"]])
        for number, task in enumerate(practice)
        if found.keys() >= set(task["pictures"]) and suits(task, *kind)
    }


def _left(session: Session, collection: Collection, participation: Participation) -> dict[int, list[Image]]:
    """Number of a task -> its pictures, of the tasks that are not answered in this round."""
    known = _tasks(session, collection, participation)
    return {
        number: images for number, (_, images) in known.items() if str(number) not in participation.practised
    }


def _item(session: Session, collection: Collection, number: int, images: list[Image]) -> dict[str, Any]:
    if not collection.compares:
        pick = Pick(images[0].id, FIRST)
        [item] = picture_items(session, collection, current_rater(), [pick])
        return {**item, "task": number}
    rounds = current_user.participation.practice_rounds
    order = [*images]  # the best is first
    Random(f"{current_rater().code} {number} {rounds}").shuffle(order)  # noqa: S311
    return {
        "trial": f"practice-{number}-{rounds}",
        "round": FIRST,
        "ids": [image.id for image in order],
        "pictures": [picture(collection, image) for image in order],
        "task": number,
    }


def _number(body: Any, known: dict[int, tuple[Task, list[Image]]]) -> int:
    number = body.get("task") if isinstance(body, dict) else None
    if not is_integer(0)(number) or number not in known:
        abort(400, "There is no such practice task.")
    return int(number)


def _judge(body: dict[str, Any], task: Task, images: list[Image]) -> tuple[bool, str]:
    """Whether an answer is right, and what was expected, in a sentence."""
    if task["low"] is None:
        shown, best = body.get("shown"), images[0].id
        if not isinstance(shown, list) or best not in shown:
            abort(400, "The comparison must show the pictures of the task.")
        place = shown.index(best) + 1
        is_right = body.get("kind") == CHOICE and body.get("image") == best
        if "worst" in body:
            worst = images[-1].id
            if worst not in shown:
                abort(400, "The comparison must show the pictures of the task.")
            places = {"best": place, "worst": shown.index(worst) + 1}
            return is_right and body["worst"] == worst, gettext(
                "Photograph %(best)s looks best here, and photograph %(worst)s worst.", **places
            )
        return is_right, gettext("Photograph %(number)s looks best here.", number=place)
    value, low, high = body.get("value"), task["low"], task["high"]
    if not is_number()(value):
        abort(400, "The answer must be a rating.")
    limits = {"low": format_decimal(low), "high": format_decimal(high)}
    expected = (
        gettext("Expected here: %(low)s.", **limits)
        if low == high
        else gettext("Expected here: %(low)s to %(high)s.", **limits)
    )
    return low <= value <= high, expected

"""Stores the settings of a study, and a new version of its texts when they change."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.db.queries import is_shown
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import CHOICES, CULL, Collection, Gold, Image, Invitation, Study, StudyVersion
from nimakit.web.study.participation import latest_version
from nimakit.web.study.texts import find_pictures, picture_names, suits

_LABEL = "Study"
_TEXTS = ("consent", "instructions", "examples", "practice")


def save_study(
    session: Session, collection: Collection, values: dict[str, Any], texts: dict[str, Any]
) -> None:
    """Store the settings and texts of a study.

    Args:
        session: From `Database.write`.
        collection: Its collection.
        values: Attributes of `Study`.
        texts: ``consent``, ``instructions``, ``examples`` and ``practice`` of `StudyVersion`.

    Raises:
        UsageError: A text names a picture that the collection does not have, or a gold picture,
            or the study asks each rater for more pictures than there are.
    """
    texts, pictures = _resolved(session, collection, texts, values["thanks"])
    study = session.get(Study, collection.id) or Study(collection_id=collection.id)
    for key, value in values.items():
        setattr(study, key, value)
    session.add(study)
    if study.is_on:
        study.invitation_id = _invitation(session, study).id
    latest = latest_version(session, collection.id)
    if latest is None or any(getattr(latest, key) != texts[key] for key in _TEXTS):
        number = 1 if latest is None else latest.number + 1
        session.add(StudyVersion(collection_id=collection.id, number=number, pictures=pictures, **texts))
    session.flush()
    _refuse_quota(session, collection, study)


def _refuse_quota(session: Session, collection: Collection, study: Study) -> None:
    """Refuse more pictures per rater than there are, once the folder has been read."""
    shown = session.scalar(select(func.count()).select_from(Image).where(is_shown(session, collection)))
    if not collection.compares and shown and study.quota and study.quota > shown:
        raise UsageError(
            f"Pictures per rater must be at most the number of pictures that are rated, {shown:,}, or blank"
            f" for all of them. Received: {study.quota:,}"
        )


def refuse_experiment(
    session: Session, collection: Collection, *, experiment: str, choices: int, scale: Scale
) -> None:
    """Check that a collection's study, if it is on, can go on with another kind of answers.

    Args:
        session: From `Database.read`.
        collection: The collection.
        experiment: The new experiment.
        choices: The new number of pictures in a comparison.
        scale: The new scale.

    Raises:
        UsageError: It cannot.
    """
    study = session.get(Study, collection.id)
    if study is None or not study.is_on:
        return
    if experiment == CULL:
        raise UsageError("A cull cannot be rated as a study. Switch the study off first, on the page Study.")
    if experiment in CHOICES and study.quota is None:
        raise UsageError(
            "Comparisons have no end. Set the number of comparisons per rater first, on the page Study."
        )
    latest = latest_version(session, collection.id)
    practice = latest.practice if latest else []
    is_same = experiment == collection.experiment or CHOICES.keys().isdisjoint(
        (experiment, collection.experiment)
    )
    if practice and not (is_same and all(suits(task, experiment, choices, scale) for task in practice)):
        raise UsageError(
            "The study's practice tasks have answers of the present experiment, number of choices and scale."
            " Remove them first, on the page Study."
        )


def _resolved(
    session: Session, collection: Collection, texts: dict[str, Any], thanks: str
) -> tuple[dict[str, Any], list[str]]:
    """The texts with pictures by their paths, and the paths of those that are not rated because of them."""
    in_markdown = {*picture_names(texts["consent"]), *picture_names(texts["instructions"])}
    explained = {one["picture"] for one in texts["examples"]}
    explained |= {name for one in texts["practice"] for name in one["pictures"]}
    names = in_markdown | explained | {*picture_names(thanks)}
    found = {name: image.path for name, image in find_pictures(session, collection, names).items()}
    if missing := sorted(names - found.keys()):
        raise UsageError(
            "A picture must be named by its path in the collection's folder, or by its file name if no other"
            f" picture has the same. Received: {', '.join(missing)}"
        )
    examples = [{**one, "picture": found[one["picture"]]} for one in texts["examples"]]
    practice = [{**one, "pictures": [found[name] for name in one["pictures"]]} for one in texts["practice"]]
    _refuse_repetition(practice)
    pictures = sorted({found[name] for name in in_markdown | explained})
    gold = select(Image.path).join(Gold, Gold.image_id == Image.id).where(Gold.collection_id == collection.id)
    if checked := sorted(set(pictures) & set(session.scalars(gold))):
        raise UsageError(
            "The pictures of these texts are not rated, so they cannot be gold pictures as well. Name others,"
            f" or remove them on the page Checks first. Received: {', '.join(checked)}"
        )
    return {**texts, "examples": examples, "practice": practice}, pictures


def _refuse_repetition(practice: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a picture that two ratings are right for, or that a comparison shows twice, by whatever names.

    Raises:
        UsageError: There is one.
    """
    rated = Counter(path for one in practice if one["low"] is not None for path in one["pictures"])
    shown = [Counter(one["pictures"]) for one in practice if one["low"] is None]
    twice = {path for counts in (rated, *shown) for path, count in counts.items() if count > 1}
    if twice:
        raise UsageError(
            "A picture must be practised once, and be in a comparison once. Received twice:"
            f" {', '.join(sorted(twice))}"
        )


def _invitation(session: Session, study: Study) -> Invitation:
    """The invitation of a study, a new one if it was withdrawn."""
    known = study.invitation_id and session.get(Invitation, study.invitation_id)
    if known and not known.revoked:
        return known
    invitation = Invitation(collection_id=study.collection_id, label=_LABEL)
    session.add(invitation)
    session.flush()
    return invitation

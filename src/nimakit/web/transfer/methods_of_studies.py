"""How raters took part in a study, in sentences for a paper: where they came from, consent, practice."""

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.queries import is_given
from nimakit.web.db.tables import FIRST, Collection, Participation, PlatformId, Study, StudyVersion
from nimakit.web.study.participation import latest_version
from nimakit.web.study.platforms import PLATFORMS
from nimakit.wording import listed, many


def begun_study(session: Session, collection: Collection) -> Study | None:
    """The study of a collection that is rated as one, or that raters agreed to take part in."""
    study = session.get(Study, collection.id)
    if study is None or study.is_on:
        return study
    agreed = select(Participation.rater_id).where(Participation.collection_id == collection.id)
    return None if session.scalar(agreed.limit(1)) is None else study


def on_participants(session: Session, collection: Collection, study: Study | None) -> Iterator[str]:
    """Sentences on the number of raters, where they came from, and the places.

    Args:
        session: From `Database.read`.
        collection: The collection.
        study: From `begun_study`.
    """
    table = collection.response_table
    own = (table.collection_id == collection.id, table.round == FIRST)
    answered = set(session.scalars(select(table.rater_id).where(*own, is_given(table)).distinct()))
    if study is None:
        yield f"In all, {many(len(answered), 'rater')} took part."
        return
    rows = session.execute(
        select(Participation.rater_id, Participation.finished_at).where(
            Participation.collection_id == collection.id
        )
    ).all()
    finished = sum(at is not None for _, at in rows)
    inside = len(answered & {rater for rater, _ in rows})
    if len(rows) > inside:
        yield (
            f"In all, {many(len(rows), 'rater')} agreed to take part; {inside:,} of them gave answers, and"
            f" {finished:,} finished."
        )
    else:
        ended = f"{finished:,}" if finished < inside else "both" if finished == 2 else "all"
        finish = f"{ended} of them finished" if inside != 1 else "finished" if finished else "did not finish"
        yield (
            f"In all, {many(inside, 'rater')} took part, and {finish}."
            if rows
            else "No rater has taken part."
        )
    yield from _on_platforms(session, collection, len(rows))
    if outside := len(answered) - inside:
        yield f"{many(outside, 'person', 'people')} gave answers outside the study."
    if study.places is not None:
        yield f"The study had {many(study.places, 'place')}."
    if study.minutes is not None:
        yield (
            f"A rater who had not finished after {many(study.minutes, 'minute')} could lose the place to"
            " another rater."
        )


def _on_platforms(session: Session, collection: Collection, people: int) -> Iterator[str]:
    """Where raters came from, as far as their links said; never who they are there."""
    rows = session.execute(
        select(PlatformId.platform, func.count())
        .where(PlatformId.collection_id == collection.id)
        .group_by(PlatformId.platform)
        .order_by(PlatformId.platform)
    ).all()
    names = [(PLATFORMS[key].name if key in PLATFORMS else key, count) for key, count in rows]
    if len(names) == 1 and names[0][1] == people:
        yield f"{'They were' if people > 1 else 'The rater was'} recruited on {names[0][0]}."
    elif names:
        parts = [f"{count:,} on {name}" for name, count in names]
        yield f"Raters were recruited as follows: {listed(parts)}."


def on_preparation(session: Session, collection: Collection, study: Study | None) -> Iterator[str]:
    """Sentences on consent, instructions, examples and practice, with their version.

    Args:
        session: From `Database.read`.
        collection: The collection.
        study: From `begun_study`.
    """
    if study is None:
        return
    used = session.execute(
        select(StudyVersion, func.count(Participation.rater_id))
        .join(Participation, Participation.version_id == StudyVersion.id)
        .where(StudyVersion.collection_id == collection.id)
        .group_by(StudyVersion.id)
        .order_by(StudyVersion.number)
    ).all()
    version = used[-1][0] if used else latest_version(session, collection.id)
    steps = [] if version is None else [*_steps(version)]
    if version is None or not steps:
        return
    yield f"Before the task, each rater {listed(steps)}."
    if version.practice:
        yield "The practice could be repeated." + (
            f" To go on, raters needed {many(study.practice_needed, 'right answer')} in a round."
            if study.practice_needed
            else ""
        )
    if len(used) > 1:
        (first, count), *others = used
        counts = [f"version {one.number} to {many(number, 'rater')}" for one, number in others]
        start = f"Version {first.number} of these texts was shown to {many(count, 'rater')}"
        yield f"{listed([start, *counts])}; version {version.number} is described here."
    elif used:
        yield f"These texts did not change while the study ran (version {version.number})."
    if version.pictures:
        yield "Their photographs were not part of the task."


def _steps(version: StudyVersion) -> Iterator[str]:
    if version.consent:
        yield "agreed to a consent form"
    examples = many(len(version.examples), "example photograph")
    if version.instructions:
        yield "read instructions" + (f" with {examples}" if version.examples else "")
    elif version.examples:
        yield f"saw {examples} and what to think of them"
    if version.practice:
        yield f"practised on {many(len(version.practice), 'task')}, with feedback after each answer"

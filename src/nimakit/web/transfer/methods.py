"""How the answers of a collection were collected, in paragraphs for a paper: the task, and the answers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit import __version__
from nimakit.errors import LabelError
from nimakit.labels.summary import Agreement, of_ratings
from nimakit.stats.bradley_terry import PRIOR_SD
from nimakit.web.db.queries import is_counted, is_given, is_shown
from nimakit.web.db.tables import BEST_WORST, CULL, FIRST, REPEAT, Choice, Collection, Image, Study
from nimakit.web.rating.checks import plan_of
from nimakit.web.rating.ordering import REPEAT_AFTER
from nimakit.web.transfer.exports import ratings_of
from nimakit.web.transfer.methods_of_checks import on_checks, on_exclusion
from nimakit.web.transfer.methods_of_studies import begun_study, on_participants, on_preparation
from nimakit.wording import listed, many

_TASKS = {
    "score": "rated one at a time",
    "rate": "rated one at a time, by correcting the score that {model} predicted",
    "preference": "compared {choices} at a time: raters chose the {best}, or said that {all} were alike",
    BEST_WORST: "compared in sets of {choices}: raters chose the best and the worst of each set"
    " (best-worst scaling; Louviere, Flynn and Marley, 2015)",
    CULL: "rated with stars, while raters chose the best of each group of similar ones",
}
_QUESTIONS = {
    "score": "How good does this photograph look?",
    "rate": "Is the predicted score right?",
    "preference": "Which photograph looks best?",
    BEST_WORST: "Which photograph looks best, and which looks worst?",
    CULL: "Which photographs do you keep?",
}
_ORDERS = {
    "random": "in a random order, different for each rater",
    "fewest": "those with the fewest ratings first, and otherwise in a random order",
    "active": "those with the most uncertain mean rating first",
}
_INFORMED = (
    " Once the answers contained two independent differences per photograph, those photographs were put"
    " together whose comparison was expected to tell most about the scores (Mikhailiuk et al., 2020)."
)


def methods(session: Session, collection: Collection) -> str:
    """Paragraphs on how the answers were collected, from the collection's settings and its answers.

    Args:
        session: From `Database.read`.
        collection: The collection.
    """
    study = begun_study(session, collection)
    paragraphs = [
        [*on_participants(session, collection, study), *on_preparation(session, collection, study)],
        [*_on_task(session, collection, study), *_on_order(session, collection)],
        [*on_checks(session, collection), *on_exclusion(session, collection)],
        [*_on_answers(session, collection), *_on_figures(session, collection)],
    ]
    if study is not None and not study.may_skip:
        paragraphs[1].append(
            f"Raters could not skip {'comparisons' if collection.compares else 'photographs'}."
        )
    paragraphs[-1].append(f"Answers were collected with nimakit {__version__}.")
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs if sentences)


def _on_task(session: Session, collection: Collection, study: Study | None) -> Iterator[str]:
    shown = select(func.count()).select_from(Image).where(is_shown(session, collection))
    pictures = session.scalar(shown) or 0
    two = collection.compares and collection.choices == 2
    task = _TASKS[collection.experiment].format(
        choices=collection.choices,
        best="better one" if two else "best",
        all="both" if two else "all",
        model=_model(collection),
    )
    verb = "was" if pictures == 1 else "were"
    yield f"The material was {many(pictures, 'photograph')}, which {verb} {task}."
    if study is not None and study.quota is not None:
        most = study.quota if collection.compares else min(study.quota, pictures)
        yield f"Each rater was asked for {many(most, 'comparison' if collection.compares else 'rating')}."
    question = collection.question or _QUESTIONS[collection.experiment]
    if two and not collection.question:
        question = "Which photograph looks better?"
    yield f"The question was “{question}”{'' if question[-1:] in '.?!' else '.'}"
    if not collection.compares:
        low, high = collection.low_label or "worst", collection.high_label or "best"
        step = "steps of 0.1" if collection.experiment == "rate" else "whole numbers"
        yield f"The scale had {step} from {collection.low} (“{low}”) to {collection.high} (“{high}”)."


def _model(collection: Collection) -> str:
    return f"the model {Path(collection.model).name}" if collection.model else "a model"


def _on_order(session: Session, collection: Collection) -> Iterator[str]:
    if collection.experiment == CULL:
        return
    noun = "comparison" if collection.compares else "rating"
    if not collection.compares:
        yield f"Photographs were shown {_ORDERS[collection.ordering]}."
    elif (collection.ordering, collection.experiment) == ("random", "preference"):
        yield "Photographs were drawn at random for each comparison."
    else:
        yield (
            "The design was balanced and connected: photographs that had been compared least often were shown"
            " first, together with those that no chain of comparisons linked with them yet, or that had been"
            " compared with them least often." + (_INFORMED if collection.ordering == "active" else "")
        )
    if collection.wanted:
        apart = ", apart from gold photographs" if plan_of(session, collection).gold else ""
        yield f"A photograph was no longer shown once it had {many(collection.wanted, noun)}{apart}."
    if collection.repeats:
        yield (
            f"To measure consistency, each rater was shown about {100 * collection.repeats:g} % of"
            f" the {'comparisons' if collection.compares else 'photographs'} a second time, at least"
            f" {REPEAT_AFTER} {noun}s later."
        )
    seen = [("saw the names of the files", not collection.blind)]
    if not collection.compares:
        seen.append(("saw the mean rating of a photograph after they had rated it", collection.show_others))
    yield f"Raters {_seen(seen)}."


def _seen(what: Sequence[tuple[str, bool]]) -> str:
    """Of phrases that begin with "saw": "saw A and B", "did not see A or B", "saw A, but did not see B"."""
    shown = [text for text, is_shown in what if is_shown]
    hidden = [text.replace("saw", "did not see", 1) for text, is_shown in what if not is_shown]
    hidden = [hidden[0], *(text.removeprefix("did not see ") for text in hidden[1:])] if hidden else []
    shown = [shown[0], *(text.removeprefix("saw ") for text in shown[1:])] if shown else []
    return ", but ".join(filter(None, (" and ".join(shown), " or ".join(hidden))))


def _on_answers(session: Session, collection: Collection) -> Iterator[str]:
    table = collection.response_table
    noun = "comparison" if table is Choice else "rating"
    own, counted = table.collection_id == collection.id, is_counted(collection, table)
    given = is_given(table)

    def count(*conditions: Any) -> int:
        return session.scalar(select(func.count()).select_from(table).where(own, counted, *conditions)) or 0

    first = (own, counted, table.round == FIRST, given)
    number, people, begin, end = session.execute(
        select(
            func.count(),
            func.count(table.rater_id.distinct()),
            func.min(table.occurred_at),
            func.max(table.occurred_at),
        ).where(*first)
    ).one()
    if not number:
        yield f"There are no {noun}s yet."
        return
    days = (
        f"on {begin:%Y-%m-%d}" if begin.date() == end.date() else f"from {begin:%Y-%m-%d} to {end:%Y-%m-%d}"
    )
    yield f"The data are {many(number, noun)} by {many(people, 'rater')}, given {days}."
    others = [
        many(count(table.round == FIRST, ~given), "skip"),
        many(count(table.round == REPEAT, given), "repeat"),
    ]
    if apart := [text for text in others if not text.startswith("0 ")]:
        yield f"Apart from these there were {listed(apart)}, which do not enter the figures."


def _on_figures(session: Session, collection: Collection) -> Iterator[str]:
    if collection.response_table is Choice:
        yield from _on_scores(session, collection)
        return
    try:
        summary = of_ratings(ratings_of(session, collection), collection.scale.bins)
    except LabelError:  # no ratings, or image_ids that are not unique
        return
    counts = summary.pictures.counts
    if counts is not None:
        low, high = counts.min(), counts.max()
        yield f"A rated photograph had {counts.mean():.1f} ratings on average (from {low:.0f} to {high:.0f})."
    if summary.agreement is not None:
        yield from _on_agreement(summary.agreement)


def _on_agreement(found: Agreement) -> Iterator[str]:
    if found.alpha_interval is not None:
        yield f"Krippendorff's alpha for interval data was {found.alpha_interval:.2f}."
    if found.one_way is not None and found.one_way.average is not None:
        yield (
            f"The intraclass correlation was ICC(1) = {found.one_way.single:.2f} for a single rating and"
            f" ICC(1,k) = {found.one_way.average:.2f} for the mean rating of a photograph."
        )


def _on_scores(session: Session, collection: Collection) -> Iterator[str]:
    """How comparisons become scores, if there are any."""
    made = (Choice.collection_id == collection.id, is_given(Choice), is_counted(collection, Choice))
    if session.scalar(select(Choice.trial).where(*made).limit(1)) is None:
        return
    size = collection.choices
    counts = "Ties count as half a win for either photograph."
    if collection.experiment == BEST_WORST:
        decided, all_pairs = 2 * size - 3, size * (size - 1) // 2
        counts = (
            f"An answer decides {decided} of the {all_pairs} pairs of a set, which have a weight of"
            f" {size - 1}/{decided} each, because they contain {size - 1} independent differences."
        )
    elif size > 2:
        counts = (
            f"Choosing one of {size} photographs decides {size - 1} pairs, with a weight of 2/{size} each,"
            f" because they share the photograph chosen. {counts}"
        )
    yield (
        f"Scores are those of a Bradley-Terry model with a normal prior (standard deviation {PRIOR_SD:g}"
        f" logits). {counts} Intervals of ranks cover 95 % of the posterior distribution."
    )

"""A study in words: a methods paragraph for a paper, and the meaning of each exported column."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit import __version__
from nimakit.errors import LabelError
from nimakit.labels.summary import Agreement, of_ratings
from nimakit.web.db.queries import is_counted
from nimakit.web.db.tables import FIRST, OK, REPEAT, SKIP, Choice, Collection, Image, Membership, Rating
from nimakit.web.rating.ordering import REPEAT_AFTER
from nimakit.web.transfer.exports import ratings_of
from nimakit.web.transfer.picture_table import PERCENTILES

_TASKS = {
    "score": "rated {pictures} one at a time",
    "rate": "rated {pictures} one at a time by correcting a score that a model predicted",
    "preference": "compared {pictures}, {choices} at a time, and chose the best or called them alike",
    "best-worst": "saw {choices} of {pictures} at a time, and chose the best and the worst of them",
    "cull": "rated {pictures} with stars while they chose the best of each group of similar ones",
}
_QUESTIONS = {
    "score": "How good does this photograph look?",
    "rate": "Is the predicted score right?",
    "preference": "Which photograph looks best?",
    "best-worst": "Which photograph looks best, and which looks worst?",
    "cull": "Which photographs do you keep?",
}
_ORDERS = {
    "random": "in a random order, different for each rater",
    "fewest": "those with the fewest answers first, and otherwise in a random order",
    "active": "those with the most uncertain score first",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table.

    Attributes:
        type: As in a Frictionless table schema.
        meaning: What it contains, and in which unit.
    """

    type: str
    meaning: str


_COLUMNS = {
    "image": Column("string", "File of the photograph, below the folder of the study"),
    "image_id": Column("string", "Name of the photograph: its file name without the suffix"),
    "user_id": Column("string", "Pseudonym of the rater"),
    "rating": Column("number", "The rating"),
    "time": Column("datetime", "When it was given: ISO 8601, UTC"),
    "repeat": Column("integer", "0 for a rater's first answer, 1 for a repeat that measures consistency"),
    "predicted": Column("number", "Score that the model predicted; blank if unknown"),
    "elapsed_ms": Column("integer", "How long the rater looked, in milliseconds; blank if unknown"),
    "left": Column("string", "One photograph of the pair, by image_id"),
    "right": Column("string", "The other photograph, by image_id"),
    "chosen": Column("string", "The better photograph, by image_id; -1 for a tie"),
    "weight": Column("number", "How much the pair counts"),
    "comparison": Column("string", "Name of the comparison: pairs of one comparison share it"),
    "n": Column("integer", "Number of ratings, or of comparisons that showed the photograph"),
    "mean": Column("number", "Mean rating; blank without ratings"),
    "sd": Column("number", "Standard deviation of the ratings, with n - 1; blank below two ratings"),
    **{
        f"p{percent}": Column("number", f"{percent}th percentile of the ratings, linearly interpolated")
        for percent in PERCENTILES
    },
    "score": Column("number", "Bradley-Terry score in logits, with mean 0 over all photographs"),
    "standard_error": Column("number", "Standard error of the score"),
    "rank": Column("integer", "Rank by score; 1 is the best"),
    "rank_low": Column("integer", "Best rank in a 95 % interval"),
    "rank_high": Column("integer", "Worst rank in a 95 % interval"),
    "won": Column("number", "Pairs in which the photograph was chosen"),
    "lost": Column("number", "Pairs in which the other photograph was chosen"),
    "tied": Column("number", "Pairs in which neither was chosen"),
}


def column(name: str) -> Column:
    """What a column of an exported table contains."""
    return _COLUMNS[name]


def methods(session: Session, collection: Collection) -> str:
    """A paragraph on how the ratings were collected, from the collection's settings and answers.

    Args:
        session: From `Database.read`.
        collection: The collection.
    """
    return " ".join(
        [
            *_on_task(session, collection),
            *_on_order(collection),
            *_on_answers(session, collection),
            *_on_agreement(session, collection),
            f"Answers were collected with nimakit {__version__}.",
        ]
    )


def dictionary(tables: dict[str, tuple[str, ...]]) -> str:
    """A data dictionary in Markdown.

    Args:
        tables: File name -> names of its columns.
    """
    lines = []
    for name, columns in tables.items():
        lines += [f"### {name}", "", "| column | type | content |", "|---|---|---|"]
        lines += [f"| {key} | {_COLUMNS[key].type} | {_COLUMNS[key].meaning} |" for key in columns]
        lines.append("")
    return "\n".join(lines)


def document(session: Session, collection: Collection, tables: dict[str, tuple[str, ...]]) -> str:
    """Both in one Markdown document."""
    return (
        f"# {collection.name}\n\n## Methods\n\n{methods(session, collection)}\n\n## Data dictionary\n\n"
        + dictionary(tables)
    )


def _on_task(session: Session, collection: Collection) -> Iterator[str]:
    table = collection.response_table
    kept = (*_first(collection), is_counted(collection, table))
    people = session.scalar(select(func.count(table.rater_id.distinct())).where(*kept)) or 0
    shown = (Image.collection_id == collection.id, Image.state == OK)
    pictures = session.scalar(select(func.count()).select_from(Image).where(*shown)) or 0
    task = _TASKS[collection.experiment].format(
        pictures=_many(pictures, "photograph"), choices=collection.choices
    )
    question = collection.question or _QUESTIONS[collection.experiment]
    yield f"{_many(people, 'person', 'people')} {task}. The question was “{question}”"
    if table is Rating:
        low, high = collection.low_label or "worst", collection.high_label or "best"
        step = "whole numbers" if collection.experiment != "rate" else "steps of 0.1"
        yield (f"The scale had {step} from {collection.low} (“{low}”) to {collection.high} (“{high}”).")


def _on_order(collection: Collection) -> Iterator[str]:
    if collection.experiment == "cull":
        return
    if collection.compares and (collection.ordering, collection.experiment) != ("random", "preference"):
        informed = ", and later by expected information" if collection.ordering == "active" else ""
        yield f"Photographs were put together so that the design is balanced and connected{informed}."
    else:
        yield f"Photographs were shown {_ORDERS[collection.ordering]}."
    if collection.wanted:
        noun = "comparison" if collection.response_table is Choice else "rating"
        yield f"Photographs with {_many(collection.wanted, noun)} were no longer shown."
    if collection.repeats:
        yield (
            f"Each rater saw {100 * collection.repeats:g} % of them a second time, at least {REPEAT_AFTER}"
            " photographs later."
        )
    hidden = "File names were hidden from raters" if collection.blind else "Raters saw file names"
    others = "saw" if collection.show_others else "did not see"
    yield (
        f"{hidden}, who {others} the ratings of others."
        if collection.blind
        else (f"{hidden}, and {others} the ratings of others.")
    )


def _on_answers(session: Session, collection: Collection) -> Iterator[str]:
    table = collection.response_table
    noun = "comparison" if table is Choice else "rating"
    kept = is_counted(collection, table)
    given = Choice.kind != SKIP if table is Choice else Rating.value.is_not(None)
    number, first, last = session.execute(
        select(func.count(), func.min(table.occurred_at), func.max(table.occurred_at)).where(
            *_first(collection), kept, given
        )
    ).one()
    if not number:
        yield f"There are no {noun}s yet."
        return
    times = (
        f"on {first:%Y-%m-%d}" if first.date() == last.date() else f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    )
    yield f"They gave {_many(number, noun)} {times}."
    skipped = _count(session, collection, kept, ~given)
    if skipped:
        yield f"{_many(skipped, 'skip')} did not count."
    again = session.scalar(
        select(func.count()).where(table.collection_id == collection.id, table.round == REPEAT, kept, given)
    )
    if again:
        yield f"{_many(again, 'repeat')} served to measure consistency only."
    excluded = session.scalar(
        select(func.count()).where(Membership.collection_id == collection.id, Membership.excluded)
    )
    if excluded:
        out = _count(session, collection, ~kept, given)
        verb = "was" if excluded == 1 else "were"
        yield f"{_many(excluded, 'rater')} with {_many(out, noun)} {verb} excluded."


def _on_agreement(session: Session, collection: Collection) -> Iterator[str]:
    if collection.response_table is Choice:
        return
    try:
        summary = of_ratings(ratings_of(session, collection), collection.scale.bins)
    except LabelError:  # no ratings, or image_ids that are not unique
        return
    counts = summary.pictures.counts
    if counts is not None:
        yield (
            f"A rated photograph had {counts.mean():.1f} ratings on average ({counts.min():.0f} to"
            f" {counts.max():.0f})."
        )
    if summary.agreement is not None:
        yield from _on_figures(summary.agreement)


def _on_figures(found: Agreement) -> Iterator[str]:
    if found.alpha_interval is not None:
        yield f"Krippendorff's alpha was {found.alpha_interval:.2f} (interval)."
    if found.one_way is not None and found.one_way.average is not None:
        yield (
            f"The intraclass correlation was {found.one_way.single:.2f} for one rating, ICC(1), and"
            f" {found.one_way.average:.2f} for the mean ratings, ICC(k)."
        )


def _first(collection: Collection) -> tuple[Any, Any]:
    table = collection.response_table
    return table.collection_id == collection.id, table.round == FIRST


def _count(session: Session, collection: Collection, *conditions: Any) -> int:
    return session.scalar(select(func.count()).where(*_first(collection), *conditions)) or 0


def _many(count: int, noun: str, plural: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"

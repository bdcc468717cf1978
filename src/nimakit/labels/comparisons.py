"""Tables of comparisons between two images, and of the scores fitted to them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nimakit.errors import LabelError
from nimakit.images.names import ImageNames
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.io.tables import BadRows, number, read_rows
from nimakit.labels.ratings import REPEAT_COLUMN, is_repeat
from nimakit.stats.bradley_terry import Comparisons, Scores
from nimakit.stats.histogram import IntArray
from nimakit.wording import many

USER_COLUMN = "user_id"
WEIGHT_COLUMN = "weight"
SCORE_COLUMNS = (
    "image_id",
    "score",
    "standard_error",
    "chance",
    "rank",
    "rank_low",
    "rank_high",
    "won",
    "lost",
    "tied",
    "left_out",
)


def read_comparisons(
    path: Path,
    *,
    left_column: str = "left",
    right_column: str = "right",
    chosen_column: str = "chosen",
    ties: Collection[str] = ("tie", "-1"),
    rows: BadRows,
    notify: Callable[[str], None] | None = None,
) -> Comparisons:
    """Read comparisons from a table.

    Args:
        path: .csv, .tsv or .jsonl.
        left_column: Column of images, read by `nimakit.images.names.ImageNames`.
        right_column: Likewise.
        chosen_column: Column of the choice: a value of one of these two columns, "left", "right", or one of
            `ties`. The people who chose are in the column user_id, if there is one, and how much a comparison
            counts, 1 if nothing is given, in the column weight. Rows with 1 in the column repeat are left
            out: people were shown the images again to test their consistency.
        ties: Values that mean a tie.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        notify: Called with the number of repeats, and with warnings about ambiguous names.

    Returns:
        The comparisons of good rows, at least one.

    Raises:
        LabelError: No such table, a bad row that `rows` does not skip, or no good row.
    """
    names, found = ImageNames(), list[_Row]()
    columns = (left_column, right_column, chosen_column)
    optional = [USER_COLUMN, WEIGHT_COLUMN, REPEAT_COLUMN]
    table = read_rows(path, columns, rows, optional=optional, numbers=[WEIGHT_COLUMN])
    repeats = 0
    for line, (left, right, chosen), (person, counts, again) in table:
        try:
            if is_repeat(again):
                repeats += 1
                continue
            share, weight = _share(left, right, chosen, ties, chosen_column), _weight(counts)
            if person == "":
                raise ValueError(f"{USER_COLUMN} must not be empty")
            found.append(_Row(line, names.place(left), names.place(right), share, weight, person))
        except ValueError as error:
            rows.add(path, line, str(error))
    if repeats and notify is not None:
        notify(f"left out (shown again, repeat = 1): {many(repeats, 'row')}")
    image_ids, place_of = names.resolve(path, notify)
    for row in found:
        if place_of[row.left] == place_of[row.right]:
            rows.add(path, row.line, f"it compares {image_ids[place_of[row.left]]!r} with itself")
    rows.refuse()
    found = [row for row in found if place_of[row.left] != place_of[row.right]]
    if not found:
        raise LabelError(
            f"A table of comparisons must have at least one good row. Received: {path}, with none"
        )
    return _comparisons(found, image_ids, place_of)


class _Row(NamedTuple):
    """A good row: its line, places of its images among the names, share of the left, weight and person."""

    line: int
    left: int
    right: int
    share: float
    weight: float
    person: str | None


def _comparisons(found: Sequence[_Row], image_ids: tuple[str, ...], place_of: IntArray) -> Comparisons:
    _, left, right, share, weight, people = zip(*found, strict=True)
    users = {person: number for number, person in enumerate(dict.fromkeys(people))}
    is_known = None not in users
    return Comparisons(
        image_ids=image_ids,
        left=place_of[list(left)],
        right=place_of[list(right)],
        share=np.array(share),
        weight=None if set(weight) == {1.0} else np.array(weight),
        user_ids=tuple(filter(None, users)) if is_known else (),
        user=np.array([users[person] for person in people]) if is_known else None,
    )


def _share(left: str, right: str, chosen: str, ties: Collection[str], column: str) -> float:
    """1 if the left is chosen, 0 if the right is, 0.5 for a tie.

    Raises:
        ValueError: Another choice, or an image that is compared with itself.
    """
    if left == right:
        raise ValueError(f"it compares {left!r} with itself")
    shares = {"right": 0.0, "left": 1.0, **dict.fromkeys(ties, 0.5), right: 0.0, left: 1.0}
    if chosen not in shares:
        raise ValueError(f"{column} must be {left!r}, {right!r} or a tie; received {chosen!r}")
    return shares[chosen]


def _weight(text: str | None) -> float:
    """How much a comparison counts.

    Raises:
        ValueError: It is no number above 0.
    """
    weight = number(text, 0, name=WEIGHT_COLUMN) if text else 1.0
    if not weight:
        raise ValueError(f"{WEIGHT_COLUMN} must be above 0; received {text!r}")
    return weight


def score_rows(comparisons: Comparisons, scores: Scores) -> Iterator[tuple[str, ...]]:
    """Rows of a table of scores, best first, images without a score last.

    Args:
        comparisons: The comparisons.
        scores: From `nimakit.stats.bradley_terry.fit`.

    Yields:
        Values of `SCORE_COLUMNS`.
    """
    names = comparisons.image_ids
    for rank, i in enumerate(np.argsort(-scores.score, kind="stable"), start=1):
        figures = (scores.score[i], scores.standard_error[i], scores.chance[i])
        counts = (
            rank,
            scores.rank_low[i],
            scores.rank_high[i],
            scores.won[i],
            scores.lost[i],
            scores.tied[i],
        )
        yield (
            names[scores.images[i]],
            *(f"{figure:.6f}" for figure in figures),
            *(f"{count:.12g}" for count in counts),
            "",
        )
    for reason, places in scores.left_out.items():
        yield from ((names[place], *[""] * (len(SCORE_COLUMNS) - 2), reason) for place in places)


def write_scores(path: Path, comparisons: Comparisons, scores: Scores) -> None:
    """Write the scores of all images as a .csv, which appears whole or not at all.

    Raises:
        OutputError: It could not be written.
    """
    with atomic_writer(path) as stream:
        table = TableWriter(stream)
        for row in (SCORE_COLUMNS, *score_rows(comparisons, scores)):
            table.row(row)

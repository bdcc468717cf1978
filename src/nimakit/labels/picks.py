"""Tables of picks and rejects, read as comparisons: a pick beats the rejects of its group."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nimakit.errors import LabelError
from nimakit.images.names import ImageNames
from nimakit.io.tables import BadRows, read_rows
from nimakit.labels.comparisons import USER_COLUMN
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.histogram import FloatArray, IntArray

PICK, REJECT, NEITHER = 1, -1, 0

_MARKS = {
    **dict.fromkeys(("1", "1.0", "pick", "picked", "accepted", "true"), PICK),
    **dict.fromkeys(("-1", "-1.0", "reject", "rejected", "false"), REJECT),
    **dict.fromkeys(("", "0", "0.0", "none", "unflagged"), NEITHER),
}
_MOST_OPPONENTS = 10
"""In a large group each pick is compared with so many rejects, and each reject with so many picks."""


def read_picks(path: Path, *, rows: BadRows, notify: Callable[[str], None] | None = None) -> Comparisons:
    """Read picks and rejects from a table.

    The comparisons of a group, and their weight, are those of `compared`; its photographs are in the order of
    the table.

    Args:
        path: .csv, .tsv or .jsonl with the columns image_id and pick: 1 or pick, -1 or reject, and 0 or empty
            for neither. Optional are group, without which the table is one group, and user_id. If an image
            occurs several times in a person's group, the last row counts.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        notify: Called with warnings about ambiguous names, and about groups without a pick or a reject.

    Returns:
        The comparisons, at least one.

    Raises:
        LabelError: No such table, a bad row that `rows` does not skip, or no group with a pick and a reject.
    """
    names = ImageNames()
    marked: dict[tuple[str | None, str], dict[int, int]] = defaultdict(dict)
    for line, (name,), (mark, group, person) in read_rows(
        path, ("image_id",), rows, optional=("pick", "group", USER_COLUMN)
    ):
        try:
            if mark is None or mark.lower() not in _MARKS:
                raise ValueError(f"pick must be 1, -1, 0, pick or reject; received {mark!r}")
            if person == "":
                raise ValueError(f"{USER_COLUMN} must not be empty")
            marked[person, group or ""][names.place(name)] = _MARKS[mark.lower()]
        except ValueError as error:
            rows.add(path, line, str(error))
    rows.refuse()
    image_ids, place_of = names.resolve(path, notify)
    groups = {key: _arrays(marks) for key, marks in marked.items()}
    decided = {key: pairs for key, pairs in groups.items() if len(pairs[0])}
    if not decided:
        raise LabelError(
            "A table of picks must have a group with a pick and a reject, at least one of each. Received:"
            f" {path}, with none in {len(groups)} groups"
        )
    one_sided = sum(any(marks.values()) for marks in marked.values()) - len(decided)
    if notify and one_sided:
        notify(
            f"{path}: {one_sided} of {len(groups)} groups have only picks or only rejects, and teach nothing"
        )
    left, right, weight = (np.concatenate(parts) for parts in zip(*decided.values(), strict=True))
    people = tuple(dict.fromkeys(person for person, _ in decided if person is not None))
    user = [people.index(person) for (person, _), pairs in decided.items() if person for _ in pairs[0]]
    return Comparisons(
        image_ids=image_ids,
        left=place_of[left],
        right=place_of[right],
        share=np.ones(len(left)),
        weight=weight,
        user_ids=people,
        user=np.array(user, np.intp) if people else None,
    )


def compared(marks: Sequence[int]) -> tuple[list[tuple[int, int]], float]:
    """The comparisons that picks and rejects imply: a pick beats the rejects of its group.

    In a large group only neighbours are compared, which are most alike: each pick with its 10 nearest
    rejects, and each reject with its 10 nearest picks. So every photograph counts, and the number of
    comparisons grows with the group, not with its square.

    p picks and r rejects have only p + r - 1 independent differences. So each of N comparisons has the weight
    ``(p + r - 1) / N``, which is 1 for a single pick.

    Args:
        marks: `PICK`, `REJECT` or `NEITHER` of each photograph of a group, in the order in which they were
            taken.

    Returns:
        The places of a pick and a reject for each comparison, ascending; and the weight of each of them, 0 if
        there are none.
    """
    picks = [place for place, mark in enumerate(marks) if mark == PICK]
    rejects = [place for place, mark in enumerate(marks) if mark == REJECT]
    pairs = {(pick, reject) for pick in picks for reject in _nearest(pick, rejects)}
    pairs |= {(pick, reject) for reject in rejects for pick in _nearest(reject, picks)}
    return sorted(pairs), (len(picks) + len(rejects) - 1) / len(pairs) if pairs else 0.0


def _nearest(place: int, others: Sequence[int]) -> list[int]:
    """The nearest of some places, which ascend."""
    cut = bisect(others, place)
    near = others[max(cut - _MOST_OPPONENTS, 0) : cut + _MOST_OPPONENTS]
    return sorted(near, key=lambda other: abs(other - place))[:_MOST_OPPONENTS]


def _arrays(marks: dict[int, int]) -> tuple[IntArray, IntArray, FloatArray]:
    """Picks (P,), the rejects they are compared with (P,), and how much each comparison counts (P,)."""
    pairs, weight = compared([*marks.values()])
    picks, rejects = np.array([*marks], np.intp)[np.array(pairs, np.intp).reshape(-1, 2)].T
    return picks, rejects, np.full(len(pairs), weight)

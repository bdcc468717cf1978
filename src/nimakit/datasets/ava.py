"""AVA: 250,000 photographs from dpchallenge.com, with counts of their ratings from 1 to 10.

Murray, Marchesotti, Perronnin, "AVA: A Large-Scale Database for Aesthetic Visual Analysis", CVPR 2012.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import LabelError, UsageError
from nimakit.io.tables import BadRows, read_lines
from nimakit.stats.histogram import FloatArray

BINS = 10
_FIELDS = 15
_DIGITS = 9


@dataclass(frozen=True, slots=True, eq=False)
class Ava:
    """The content of AVA.txt.

    Attributes:
        image_ids: N image ids, in the file's order.
        counts: (N, 10) float64, how many people gave 1, 2, ... 10.
        tags: (N, 2) int64, numbers of semantic tags; 0 for none.
    """

    image_ids: tuple[str, ...]
    counts: FloatArray
    tags: NDArray[np.int64]

    def tagged(self, numbers: Sequence[int]) -> NDArray[np.bool_]:
        """(N,) bool, whether an image has one of the tags."""
        return np.asarray(np.isin(self.tags, np.asarray(numbers)).any(axis=1))


def read_ava(path: Path, rows: BadRows) -> Ava:
    """Read AVA.txt: index, image id, ten counts, two tags and the challenge, separated by spaces.

    Args:
        path: AVA.txt.
        rows: Collects bad lines; `BadRows.refuse` is called here.

    Returns:
        The images of good lines, at least one.

    Raises:
        LabelError: No such file, a bad line that `rows` does not skip, or no good line.
    """
    names: dict[str, None] = {}
    values = array("q")
    for number, text in read_lines(path):
        fields = text.split()
        problem = _problem(fields, names)
        if problem:
            rows.add(path, number, problem)
        else:
            names[fields[1]] = None
            values.extend(map(int, fields[2:14]))
    rows.refuse()
    if not names:
        raise LabelError(f"AVA.txt must have at least one good line. Received: {path}, with none")
    table = np.frombuffer(values, np.int64).reshape(-1, 12)
    return Ava(tuple(names), table[:, :BINS].astype(np.float64), table[:, BINS:])


def _problem(fields: Sequence[str], names: dict[str, None]) -> str:
    """What is wrong with a line; empty if nothing is."""
    if len(fields) != _FIELDS:
        return f"it has {len(fields)} values instead of {_FIELDS}"
    if not "".join(fields).isdecimal() or max(map(len, fields)) > _DIGITS:
        return "its values must be whole numbers from 0 to 999999999"
    if fields[1] in names:
        return f"image {fields[1]} is repeated"
    if not any(map(int, fields[2:12])):
        return f"image {fields[1]} has no rating"
    return ""


def read_tags(path: Path) -> dict[int, str]:
    """Read tags.txt: a number and a name per line.

    Args:
        path: tags.txt.

    Returns:
        Number -> name.

    Raises:
        LabelError: No such file, or a line in another format.
    """
    tags: dict[int, str] = {}
    for line, text in read_lines(path):
        number, *name = text.split(maxsplit=1)
        if not (number.isdecimal() and name):
            raise LabelError(
                f"A line of tags.txt must be a number and a name. Received: {text!r} ({path}, line {line})"
            )
        tags[int(number)] = name[0]
    return tags


def resolve_tags(wanted: Sequence[str], tags: dict[int, str]) -> list[int]:
    """Find the numbers of tags given by name, ignoring case, or by number.

    Args:
        wanted: Names or numbers, such as "interior" or "14".
        tags: From `read_tags`.

    Raises:
        UsageError: There is no such tag; all tags are listed.
    """
    by_name = {name.casefold(): number for number, name in tags.items()} | {str(n): n for n in tags}
    unknown = [name for name in wanted if name.casefold() not in by_name]
    if unknown:
        known = ", ".join(f"{number} {name}" for number, name in sorted(tags.items()))
        raise UsageError(f"--tag must be one of: {known}. Received: {', '.join(unknown)}")
    return [by_name[name.casefold()] for name in wanted]

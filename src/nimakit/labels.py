"""Label files: what people said of each image, as frequency distributions over the bins."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nimakit.errors import LabelError
from nimakit.histogram import FloatArray, normalise
from nimakit.schema import is_number, read_json

_LISTED = 20


@dataclass(frozen=True, slots=True)
class Labels:
    """A label file, read.

    Attributes:
        image_ids: N file names without their last suffix, in the file's order, each once.
        histograms: (N, bins) float64, rows sum to 1; None where the file names images only.
    """

    image_ids: tuple[str, ...]
    histograms: FloatArray | None


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """Read and check a label file: ``[{"image_id": "231893", "label": [2, 8, 19, ...]}, ...]``.

    Args:
        path: JSON file. ``label`` may be missing, but then from every entry.

    Returns:
        Its image ids, and its distributions where it has them.

    Raises:
        LabelError: Not such a list, or bad entries: an image_id that is missing or repeated, a label that is
            negative, all zero, too short, or of another length than most; up to twenty are listed.
    """
    path = Path(path)
    entries = read_json(path, LabelError, "A label file")
    if not isinstance(entries, list) or not entries:
        raise LabelError(f"A label file is a JSON list with at least one entry. Received: {path}")
    bins, labelled = _usual_shape(entries)
    problems = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        problem = _problem(entry, seen, bins, labelled=labelled)
        if problem:
            problems.append(f"entry {number}: {problem}")
    if problems:
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise LabelError(
            f"{path} has {len(problems)} bad entr{'y' if len(problems) == 1 else 'ies'}: "
            + "; ".join(problems[:_LISTED])
            + more
        )
    return Labels(
        image_ids=tuple(entry["image_id"] for entry in entries),
        histograms=normalise([entry["label"] for entry in entries]) if labelled else None,
    )


def _usual_shape(entries: Sequence[Any]) -> tuple[int, bool]:
    """Most common number of bins, and whether any entry has a label."""
    lengths = Counter(
        len(entry["label"])
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("label"), list)
    )
    return (lengths.most_common(1)[0][0] if lengths else 0), bool(lengths)


def _problem(entry: Any, seen: set[str], bins: int, *, labelled: bool) -> str:
    """What is wrong with an entry; empty where nothing is."""
    if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), str) or not entry["image_id"]:
        return "it must be an object whose image_id is text"
    name = entry["image_id"]
    if name in seen:
        return f"image_id {name!r} is there twice"
    seen.add(name)
    wrong = _label_problem(entry.get("label"), bins) if labelled or "label" in entry else ""
    return f"the label of {name!r} {wrong}" if wrong else ""


def _label_problem(label: Any, bins: int) -> str:
    if not isinstance(label, list) or len(label) < 2:
        return "must be a list of 2 or more numbers"
    if len(label) != bins:
        return f"has {len(label)} bins, most have {bins}"
    if not all(map(is_number(0), label)) or not math.isfinite(sum(label)):
        return "must hold finite numbers, none below 0"
    return "" if any(label) else "is all zero: nobody rated it"

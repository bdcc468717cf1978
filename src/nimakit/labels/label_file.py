"""Label files: reading and writing the distribution of ratings of each image."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nimakit.errors import LabelError, first_few
from nimakit.images.files import canonical
from nimakit.io.atomic import atomic_writer
from nimakit.io.rules import described, is_number, is_text, read_json
from nimakit.stats.histogram import FloatArray, normalise

_LISTED = 20
_AVA = "ava_labels_"
_MAKE_AVA = (
    "Make AVA's label files from the data set: nimakit data ava AVA.txt --tags-file tags.txt --tag interior"
    " (data/AVA/README.md)"
)
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Labels:
    """The content of a label file.

    Attributes:
        image_ids: N different file names without their last suffix, in the file's order.
        histograms: (N, bins) float64, rows sum to 1; None if the file only names images.
        counts: (N, bins) float64, as in the file: numbers of ratings or shares; None if it only names images.
    """

    image_ids: tuple[str, ...]
    histograms: FloatArray | None
    counts: FloatArray | None = None

    @property
    def ratings(self) -> FloatArray | None:
        """(N,) float64, numbers of ratings; None if the file has shares, or only names images."""
        if self.counts is None:
            return None
        totals = self.counts.sum(axis=1)
        return totals if (self.counts % 1 == 0).all() and totals.max() > 1 else None


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """Read and check a label file: ``[{"image_id": "231893", "label": [2, 8, 19, ...]}, ...]``.

    Args:
        path: JSON file. ``label`` may be missing, but only from all entries.

    Raises:
        LabelError: Not such a list, or bad entries: an image_id that is missing or repeated, a label that is
            negative, all zero, too short, or of another length than most; up to twenty are listed.
    """
    path = Path(path)
    entries = _read(path)
    if not isinstance(entries, list) or not entries:
        raise LabelError(f"A label file must be a JSON list with at least one entry. Received: {path}")
    bins, labelled = _usual_shape(entries)
    problems = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        problem = _problem(entry, seen, bins, labelled=labelled)
        if problem:
            problems.append(f"entry {number}: {problem}")
    if problems:
        raise LabelError(
            f"{path} has {len(problems)} bad entr{'y' if len(problems) == 1 else 'ies'}: "
            + "; ".join(first_few(problems, _LISTED))
        )
    counts = np.array([entry["label"] for entry in entries], np.float64) if labelled else None
    return Labels(
        image_ids=tuple(canonical(entry["image_id"]) for entry in entries),
        histograms=None if counts is None else normalise(counts),
        counts=counts,
    )


@dataclass(frozen=True, slots=True)
class Outline:
    """The image ids and number of bins of a label file, even if some of its entries are bad.

    Attributes:
        image_ids: Those that are text, without repetitions, in the file's order.
        bins: Most common number of bins; 0 if there are no labels.
    """

    image_ids: tuple[str, ...]
    bins: int


def outline(path: Path) -> Outline:
    """Read image ids and number of bins of a label file with bad entries, to report its other faults too.

    Args:
        path: JSON file; if it is not a label file, the outline has no images.

    Raises:
        LabelError: It is not JSON.
    """
    entries = _read(path)
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    names = (entry.get("image_id") for entry in found)
    named = dict.fromkeys(canonical(name) for name in names if isinstance(name, str) and name)
    return Outline(tuple(named), _usual_shape(found)[0])


def write_labels(path: Path, image_ids: Sequence[str], labels: ArrayLike | None) -> None:
    """Write a label file with one image per line; it appears whole or not at all.

    Args:
        path: The file.
        image_ids: N different file names without their last suffix; at least one.
        labels: (N, bins) counts or shares, none negative, no row all 0; None for names only. Integers are
            written as such, other numbers with six decimals.

    Raises:
        LabelError: There is nothing to write.
        OutputError: It could not be written.
    """
    if not image_ids:
        raise LabelError(f"A label file must have at least one image. Received: none, for {path}")
    if labels is None:
        entries: Iterator[dict[str, Any]] = ({"image_id": name} for name in image_ids)
    else:
        rows = np.asarray(labels, np.float64).round(_DIGITS)
        values = (rows if (rows % 1).any() else rows.astype(np.int64)).tolist()
        entries = ({"image_id": name, "label": label} for name, label in zip(image_ids, values, strict=True))
    with atomic_writer(path) as stream:
        stream.write("[\n")
        for number, entry in enumerate(entries):
            stream.write((",\n" if number else "") + json.dumps(entry))
        stream.write("\n]\n")


def _read(path: Path) -> Any:
    try:
        return read_json(path, LabelError, "A label file")
    except LabelError as error:
        if path.name.startswith(_AVA) and isinstance(error.__cause__, FileNotFoundError):
            raise LabelError(f"{error}. {_MAKE_AVA}") from error
        raise


def _usual_shape(entries: Sequence[Any]) -> tuple[int, bool]:
    """Most common number of bins, and whether any entry has a label."""
    lengths = Counter(
        len(entry["label"])
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("label"), list)
    )
    return (lengths.most_common(1)[0][0] if lengths else 0), bool(lengths)


def _problem(entry: Any, seen: set[str], bins: int, *, labelled: bool) -> str:
    """What is wrong with an entry; empty if nothing is."""
    if not isinstance(entry, dict):
        return f"it must be an object; received {described(entry)}"
    if not is_text(entry.get("image_id")):
        received = described(entry["image_id"]) if "image_id" in entry else "none"
        return f"it must be an object whose image_id is text; received {received}"
    name = canonical(entry["image_id"])
    if name in seen:
        return f"image_id {name!r} is repeated"
    seen.add(name)
    wrong = _label_problem(entry.get("label"), bins) if labelled or "label" in entry else ""
    return f"the label of {name!r} {wrong}" if wrong else ""


def _label_problem(label: Any, bins: int) -> str:
    if not isinstance(label, list) or len(label) < 2:
        return f"must be a list of 2 or more numbers; received {described(label)}"
    if len(label) != bins:
        return f"has {len(label)} bins, most have {bins}"
    wrong = [value for value in label if not is_number(0)(value)]
    if wrong or not math.isfinite(sum(label)):
        return (
            f"must contain finite numbers, none negative; received {described(wrong[0] if wrong else label)}"
        )
    return "" if any(label) else "is all zero: nobody rated it"

"""Groups of labelled images that are not independent: the same picture again, or one person's photos."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from nimakit.errors import ImageError, LabelError
from nimakit.images import fingerprints
from nimakit.images.duplicates import find_duplicates
from nimakit.io.tables import BadRows, read_rows
from nimakit.labels.splitting import join_groups
from nimakit.stats.histogram import IntArray

GroupBy = Literal["duplicates", "folder"]


def group_images(
    image_ids: Sequence[str],
    paths: Sequence[Path],
    *,
    table: Path | None = None,
    column: str = "group",
    by: Collection[GroupBy] = (),
    max_pixels: int,
) -> IntArray | None:
    """Group images; those that share a group in any way are in one group.

    Args:
        image_ids: N names.
        paths: Their files.
        table: .csv, .tsv or .jsonl with a group for some of the images; the others are not grouped by it.
        column: Its column with the groups.
        by: Further ways: "duplicates", pictures that look the same (`nimakit.images.duplicates`), and
            "folder", the folder that an image is in.
        max_pixels: Largest width times height of an image.

    Returns:
        (N,), from 0; None if neither a table nor a way is given.

    Raises:
        LabelError: The table cannot be read, or names none of the images.
        MissingExtraError: Pictures are to be compared, and the packages for that are not installed.
    """
    if table is None and not by:
        return None
    together = _of_table(table, column, image_ids) if table else []
    if "folder" in by:
        together += _equal([str(path.parent) for path in paths], image_ids)
    if "duplicates" in by:
        together += _duplicates(image_ids, paths, max_pixels)
    found: IntArray = np.unique(join_groups(image_ids, image_ids, together), return_inverse=True)[1]
    return found


def _of_table(table: Path, column: str, image_ids: Sequence[str]) -> list[list[str]]:
    rows = BadRows(remedy="Correct them.")
    group_of = {row.values[0]: row.values[1] for row in read_rows(table, ["image_id", column], rows)}
    rows.refuse()
    known = [name for name in image_ids if name in group_of]
    if not known:
        raise LabelError(f"The table of groups must name the images of the label file. Received: {table}")
    return _equal([group_of[name] for name in known], known)


def _equal(keys: Sequence[str], image_ids: Sequence[str]) -> list[list[str]]:
    """Images with the same key, together."""
    members: dict[str, list[str]] = {}
    for key, name in zip(keys, image_ids, strict=True):
        members.setdefault(key, []).append(name)
    return list(members.values())


def _duplicates(image_ids: Sequence[str], paths: Sequence[Path], max_pixels: int) -> list[list[str]]:
    """Images of the same picture; an image that cannot be read is compared with none."""
    fingerprints.require()
    found = fingerprints.fingerprint_files(paths, max_pixels=max_pixels)
    good = [(row, print_) for row, print_ in enumerate(found) if not isinstance(print_, ImageError)]
    table = np.array([print_ for _, print_ in good], fingerprints.FINGERPRINT)
    groups = find_duplicates([paths[row] for row, _ in good], table)
    return [[image_ids[good[member][0]] for member in group.members] for group in groups]

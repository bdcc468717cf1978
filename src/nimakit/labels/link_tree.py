"""Folders of links to images, for trainers that find their data by folder."""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nimakit.errors import UnwritableError, UsageError
from nimakit.io.atomic import output_errors
from nimakit.progress import track

How = Literal["symlink", "hardlink", "copy"]


def check_new(folder: Path) -> None:
    """Refuse a folder that has something in it already, or cannot be made.

    Raises:
        UsageError: It is there and not empty, or the folder around it is missing or cannot be written to.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise UsageError(f"--output-dir is a new folder, or an empty one. Received: {folder}")
    around = folder.absolute().parent
    if not around.is_dir() or not os.access(around, os.W_OK):
        raise UsageError(f"The folder around --output-dir must exist and be writable. Received: {folder}")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all.

    Args:
        folder: Where it will be.

    Yields:
        The folder to fill, beside it.

    Raises:
        UsageError: As `check_new`.
        OutputError: It could not be written.
    """
    check_new(folder)
    partial = folder.absolute().with_name(f".{secrets.token_hex(6)}.partial")
    try:
        with output_errors(str(folder)):
            partial.mkdir()
        yield partial
        with output_errors(str(folder)):
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def link_files(folder: Path, files: Mapping[str, Path], how: How) -> dict[str, str]:
    """Put files into a folder and folders below it.

    Args:
        folder: An empty folder.
        files: Where each is to be, as a path below the folder -> the file it is.
        how: ``symlink`` points to the absolute path; ``hardlink`` needs the same file system; ``copy`` takes
            the space.

    Returns:
        Path below the folder -> why it could not be linked, of those that could not: a name that is too long,
        a file that may not be read.

    Raises:
        OutputError: None could be linked, or one could not for a reason that others have, too: a full disk,
            another file system.
    """
    failed: dict[str, str] = {}
    for below in sorted({Path(name).parent for name in files}):
        with output_errors(str(folder / below)):
            (folder / below).mkdir(parents=True, exist_ok=True)
    for name, source in track(files.items(), len(files), "linking"):
        try:
            _link(folder / name, name, source, how)
        except UnwritableError as error:
            with suppress(OSError):
                (folder / name).unlink()  # half a copy
            failed[name] = str(error)
            if len(failed) == len(files):
                raise
    return failed


def _link(path: Path, name: str, source: Path, how: How) -> None:
    with output_errors(name):
        if how == "symlink":
            path.symlink_to(source.resolve())
        elif how == "hardlink":
            path.hardlink_to(source.resolve())
        else:
            shutil.copy2(source, path)


def classes_by_cut(means: ArrayLike, cuts: Sequence[float]) -> list[str]:
    """A class for each image, by where its mean rating lies among the cuts.

    Args:
        means: (N,) mean ratings.
        cuts: At least one; a rating on a cut is above it.

    >>> classes_by_cut([3, 5, 7], [4, 6])
    ['below_4', 'from_4_to_6', 'from_6']
    """
    ends = sorted(set(cuts))
    names = [f"below_{ends[0]:g}", *(f"from_{a:g}_to_{b:g}" for a, b in pairwise(ends)), f"from_{ends[-1]:g}"]
    return [names[place] for place in np.searchsorted(ends, np.asarray(means), side="right").tolist()]


def classes_by_bin(means: ArrayLike, bins: ArrayLike | None) -> list[str]:
    """A class for each image: the bin that its mean rating is nearest to; halfway is the upper one.

    Args:
        means: (N,) mean ratings.
        bins: (bins,), ascending; None for 1, 2, ...

    >>> classes_by_bin([1.4, 2.5], None)
    ['1', '3']
    """
    values = np.asarray(means, np.float64)
    scale = np.arange(1.0, np.ceil(values.max()) + 2) if bins is None else np.asarray(bins, np.float64)
    places = np.searchsorted((scale[:-1] + scale[1:]) / 2, values, side="right")
    return [f"{scale[place]:g}" for place in places.tolist()]

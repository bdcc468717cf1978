"""Folder trees of links to images, for trainers that read folders."""

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
    """Refuse a folder that is not empty or cannot be created.

    Raises:
        UsageError: It exists and is not empty, or its parent is missing or not writable.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise UsageError(f"--output-dir must be a new or empty folder. Received: {folder}")
    parent = folder.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"The parent of --output-dir must exist and be writable. Received: {folder}")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create a folder that appears whole or not at all.

    Args:
        folder: Its final path.

    Yields:
        A temporary folder to fill, next to it.

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
    """Link or copy files into a folder and its sub-folders.

    Args:
        folder: An empty folder.
        files: Path below the folder -> source file.
        how: ``symlink`` points to the absolute path; ``hardlink`` needs the same file system; ``copy`` takes
            disk space.

    Returns:
        Path below the folder -> error, for files that could not be linked because of their names or
        permissions.

    Raises:
        OutputError: No file could be linked, or an error concerns all files, such as a full disk.
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
                (folder / name).unlink()  # an incomplete copy
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
    """The class of each image, by the cuts between which its mean rating lies.

    Args:
        means: (N,) mean ratings.
        cuts: At least one; a rating equal to a cut is in the class above it.

    >>> classes_by_cut([3, 5, 7], [4, 6])
    ['below_4', 'from_4_to_6', 'from_6']
    """
    ends = sorted(set(cuts))
    names = [f"below_{ends[0]:g}", *(f"from_{a:g}_to_{b:g}" for a, b in pairwise(ends)), f"from_{ends[-1]:g}"]
    return [names[place] for place in np.searchsorted(ends, np.asarray(means), side="right").tolist()]


def classes_by_bin(means: ArrayLike, bins: ArrayLike | None) -> list[str]:
    """The class of each image: the bin nearest to its mean rating; halfway counts as the upper bin.

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

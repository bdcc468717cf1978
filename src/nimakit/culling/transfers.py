"""Copy, link and move files to new places, all of them or none, and never over another file."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nimakit.errors import UnwritableError
from nimakit.io.atomic import atomic_files, output_errors
from nimakit.io.cache import sha256


def copy_files(files: Mapping[Path, Path]) -> None:
    """Copy files with their times and permissions.

    Args:
        files: Where each file is -> where it goes.

    Raises:
        OutputError: One cannot be copied, or another file is at its new place; none is copied then.
    """
    _check(files)
    with atomic_files([*files.values()]) as partials:
        for source, partial, target in zip(files, partials, files.values(), strict=True):
            with output_errors(str(target)):
                shutil.copy2(source, partial)
                with partial.open("rb") as stream:
                    os.fsync(stream.fileno())


def link_files(files: Mapping[Path, Path]) -> None:
    """Make symbolic links to the absolute paths of files.

    Args:
        files: As for `copy_files`.

    Raises:
        OutputError: As for `copy_files`.
    """
    _check(files)
    made: list[Path] = []
    with _removed_on_error(made):
        for source, target in files.items():
            with output_errors(str(target)):
                target.symlink_to(source.absolute())
            made.append(target)


def move_files(files: Mapping[Path, Path]) -> None:
    """Move files. To another file system they are copied, compared, and only then removed.

    Args:
        files: As for `copy_files`.

    Raises:
        OutputError: One cannot be moved; all are where they were then.
    """
    _check(files)
    done: dict[Path, Path] = {}
    for source, target in files.items():
        try:
            source.rename(target)
        except OSError as error:
            for moved, origin in done.items():
                moved.rename(origin)
            if error.errno != errno.EXDEV:
                with output_errors(str(target)):
                    raise
            break
        done[target] = source
    else:
        return
    _move_by_copying(files)


def _move_by_copying(files: Mapping[Path, Path]) -> None:
    for folder in {source.parent for source in files}:
        if not os.access(folder, os.W_OK):
            raise UnwritableError(f"Pictures can only be moved out of a writable folder. Received: {folder}")
    copy_files(files)
    with _removed_on_error([*files.values()]):
        for source, target in files.items():
            with output_errors(str(target)):
                is_same = sha256(source) == sha256(target)
            if not is_same:
                raise UnwritableError(f"{source} was not moved: its copy {target} was not equal to it.")
    for source in files:
        with output_errors(str(source)):
            source.unlink()


def _check(files: Mapping[Path, Path]) -> None:
    """Refuse files that have vanished, and new places that are taken."""
    for source, target in files.items():
        if not os.path.lexists(source):
            raise UnwritableError(f"{source} does not exist any more.")
        if os.path.lexists(target):
            raise UnwritableError(f"{target} exists now, and is not replaced.")


@contextmanager
def _removed_on_error(made: Sequence[Path]) -> Iterator[None]:
    """Remove new files if one of them fails."""
    try:
        yield
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise

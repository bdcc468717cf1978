"""Placing: copies of pictures, or links to them, in a folder, or the pictures moved there; and back.

A picture goes with its companions, all or none. Nothing in the folder is ever replaced: where the name is
taken, with any suffix, the picture and its companions get ``-2`` (``IMG_1-2.JPG``), or the next free number.
"""

import filecmp
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from nimakit.culling.companions import Companions
from nimakit.culling.journal import Failure
from nimakit.culling.transfers import copy_files, link_files, move_files
from nimakit.errors import OutputError, UnwritableError, UsageError
from nimakit.images.formats import SUFFIXES
from nimakit.io.atomic import check_folder, exists, make_folder, output_errors
from nimakit.progress import track

How = Literal["copy", "move", "link"]

_LABELS: dict[How, str] = {"copy": "copying", "move": "moving", "link": "linking"}
_SAME_SECONDS = 2.0
"""FAT keeps the time of a change to two seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A picture and its companions.

    Attributes:
        picture: The picture.
        files: Where each file is -> where it goes; the picture first.
    """

    picture: Path
    files: Mapping[Path, Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What will be placed.

    Attributes:
        how: Copies, the files themselves, or symbolic links.
        folder: The folder; made if it is missing.
        placements: What goes there.
        present: Pictures that are there already, from an earlier run.
        failures: Pictures that cannot be placed.
    """

    how: How
    folder: Path
    placements: tuple[Placement, ...]
    present: tuple[Path, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was done.

    Attributes:
        done: Pictures that were placed; or files that were put back or removed.
        failures: Pictures or files that were left as they are.
    """

    done: tuple[Path, ...] = ()
    failures: tuple[Failure, ...] = ()


def plan(pictures: Sequence[Path], folder: Path, how: How, *, judged: Iterable[Path]) -> Plan:
    """Plan where pictures and their companions go; nothing is written.

    Args:
        pictures: Those to place.
        folder: Where to.
        how: Copies, the files themselves, or symbolic links to their absolute paths.
        judged: All pictures that were judged on their own, which do not go along with others.

    Raises:
        UsageError: The folder cannot be written, or has too little room for what is copied.
    """
    check_folder(folder)
    companions, names, room = Companions(judged), _Names(folder, how), _Room(folder, how)
    placements: list[Placement] = []
    present: list[Path] = []
    failures: list[Failure] = []
    taken: set[Path] = set()
    for picture in pictures:
        try:
            files = [picture, *(path for path in companions.of(picture) if path not in taken)]
            states = [file.stat() for file in files]
            targets = names.find(files)
        except OSError as error:
            failures.append(Failure(picture, f"The file cannot be read: {error.strerror}."))
            continue
        if targets is None:
            present.append(picture)
            continue
        placements.append(Placement(picture=picture, files=targets))
        room.add(states)
        if how == "move":
            taken.update(files)
    room.check()
    return Plan(
        how=how,
        folder=folder,
        placements=tuple(placements),
        present=tuple(present),
        failures=tuple(failures),
    )


def records(plan: Plan) -> list[dict[str, Any]]:
    """The plan for the file that undoes it: plain JSON values, one for each file, in order."""
    found: list[dict[str, Any]] = []
    for placement in plan.placements:
        for source, target in placement.files.items():
            with suppress(FileNotFoundError):
                state = source.stat()
                found.append(
                    {
                        "how": plan.how,
                        "source": str(source.absolute()),
                        "target": str(target.absolute()),
                        "bytes": state.st_size,
                        "modified": state.st_mtime,
                    }
                )
    return found


def apply(plan: Plan) -> Outcome:
    """Place pictures, with progress on stderr.

    A picture that cannot be placed is left where it is, with its companions, and the others are placed; a
    full disk ends the run. What was placed before stays there, whole.

    Args:
        plan: From `plan`.

    Raises:
        OutputError: The folder could not be made.
    """
    if plan.placements:
        make_folder(plan.folder)
    place = {"copy": copy_files, "move": move_files, "link": link_files}[plan.how]
    done: list[Path] = []
    failures = [*plan.failures]
    for number, placement in enumerate(track(plan.placements, len(plan.placements), _LABELS[plan.how])):
        try:
            place(placement.files)
        except UnwritableError as error:
            failures.append(Failure(placement.picture, str(error)))
        except OutputError as error:
            failures += [Failure(later.picture, str(error)) for later in plan.placements[number:]]
            break
        else:
            done.append(placement.picture)
    return Outcome(done=tuple(done), failures=tuple(failures))


def undo(entries: Sequence[Mapping[str, Any]]) -> Outcome:
    """Remove copies and links, and move files back, the last first.

    Args:
        entries: From `records`. What was never done is no failure.

    Returns:
        Copies that were changed since, and files whose old place is taken, are left and listed.
    """
    done: list[Path] = []
    failures: list[Failure] = []
    for entry in reversed(entries):
        source, target = Path(entry["source"]), Path(entry["target"])
        if not os.path.lexists(target):
            continue
        try:
            with output_errors(str(target)):
                _undo(entry, source, target)
        except OutputError as error:
            failures.append(Failure(target, str(error)))
        else:
            done.append(target)
    return Outcome(done=tuple(done), failures=tuple(failures))


def _undo(entry: Mapping[str, Any], source: Path, target: Path) -> None:
    """Undo one file.

    Raises:
        OutputError: It must be left, or cannot be moved.
    """
    if entry["how"] == "move":
        source.parent.mkdir(parents=True, exist_ok=True)
        move_files({target: source})
    elif entry["how"] == "link":
        if not target.is_symlink():
            raise UnwritableError("It is no link any more, and is kept.")
        target.unlink()
    else:
        state = target.stat()
        is_same = state.st_size == entry["bytes"] and abs(state.st_mtime - entry["modified"]) <= _SAME_SECONDS
        if not is_same:
            raise UnwritableError("The copy was changed, and is kept.")
        target.unlink()


class _Names:
    """Free names in a folder, without suffix: IMG_1.JPG next to another IMG_1.CR2 would seem to be its JPEG.

    Names that only differ in case are the same for many file systems.
    """

    def __init__(self, folder: Path, how: How) -> None:
        self._folder = folder
        self._how = how
        found = folder.iterdir() if exists(folder) else ()
        self._taken = {stem for path in found for stem in _stems(path.name)}
        self._planned: set[str] = set()

    def find(self, files: Sequence[Path]) -> dict[Path, Path] | None:
        """Targets of a picture and its companions; None if the picture is there already."""
        stem = files[0].stem
        for number in count(1):
            start = stem if number == 1 else f"{stem}-{number}"
            targets = {file: self._folder / f"{start}{file.name[len(stem) :]}" for file in files}
            if start.casefold() not in self._taken | self._planned:
                self._planned |= {stem for target in targets.values() for stem in _stems(target.name)}
                return targets
            if start.casefold() not in self._planned and self._is_present(files[0], targets[files[0]]):
                return None
        raise AssertionError

    def _is_present(self, source: Path, target: Path) -> bool:
        if not target.is_file():
            return False
        if self._how == "link":
            return target.samefile(source)
        return self._how == "copy" and filecmp.cmp(source, target, shallow=False)


def _stems(name: str) -> set[str]:
    """The names without suffix that a file takes: IMG_1.CR2.xmp takes IMG_1.CR2 and IMG_1."""
    stem = name.casefold().rpartition(".")[0] or name.casefold()
    return {stem, stem.rpartition(".")[0]} if stem.endswith(SUFFIXES) else {stem}


class _Room:
    """Bytes that a plan needs in its folder: for links, and for moves on the same file system, none."""

    def __init__(self, folder: Path, how: How) -> None:
        self._folder = folder
        self._how = how
        self._nearest = folder.absolute()
        while not self._nearest.exists():
            self._nearest = self._nearest.parent
        self._device = self._nearest.stat().st_dev
        self._wanted = 0

    def add(self, states: Sequence[os.stat_result]) -> None:
        """Add files."""
        if self._how == "copy":
            self._wanted += sum(state.st_size for state in states)
        elif self._how == "move":
            self._wanted += sum(state.st_size for state in states if state.st_dev != self._device)

    def check(self) -> None:
        """Refuse to begin what does not fit.

        Raises:
            UsageError: There is too little room.
        """
        free = shutil.disk_usage(self._nearest).free
        if self._wanted > free:
            raise UsageError(
                f"The pictures need {_size(self._wanted)} in their new folder. Received: {self._folder}, with"
                f" {_size(free)} free; make room, keep fewer, or use --link-to. Nothing was written."
            )


def _size(size: int) -> str:
    """Bytes for people.

    >>> _size(123_456_789), _size(2_500_000_000)
    ('123.5 MB', '2.5 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"

"""Read the stars, labels and picks that a person gave in other programs."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nimakit.culling.journal import Failure, reason
from nimakit.culling.marks import FIELDS, Mark, statements
from nimakit.culling.shots import Folders, Shot
from nimakit.errors import ImageError
from nimakit.images.xmp.statement import Statement
from nimakit.io.threads import in_threads
from nimakit.progress import track

_VERSION = re.compile(r"_\d\d(\.[^.]+\.xmp)$")


class Conflict(NamedTuple):
    """Two files that say different things about a picture; the first one counts."""

    picture: Path
    field: str
    counts: Path
    other: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """What a person said about the pictures of a library.

    Attributes:
        marks: A mark for each picture that a person rated, labelled, picked or rejected.
        own: Number of pictures that only nimakit marked.
        unmarked: Number of pictures without a mark.
        conflicts: Where two files disagree.
        failures: Pictures whose marks cannot be read, and values that mean nothing.
        orphans: Sidecars without a picture.
    """

    marks: tuple[Mark, ...]
    own: int
    unmarked: int
    conflicts: tuple[Conflict, ...]
    failures: tuple[Failure, ...]
    orphans: tuple[Path, ...]


def read_library(pictures: Sequence[Path]) -> Library:
    """Read what a person said about pictures, with progress on stderr.

    The sidecar IMG.CR2.xmp counts before IMG.JPG.xmp, this before IMG.xmp, and sidecars before the XMP in a
    file. A file that says nothing about stars, label or pick leaves it to the next. What nimakit wrote is
    left out: a model that learned from its own ratings would learn nothing.

    Args:
        pictures: From `nimakit.images.files.find_images`; RAW files of the same names are found here.
    """
    folders = Folders()
    failures: list[Failure] = []
    shots: list[Shot] = []
    for picture in pictures:
        try:
            shots.append(folders.shot(picture))
        except OSError as error:
            failures.append(Failure(picture, reason(error)))
    marks: list[Mark] = []
    conflicts: list[Conflict] = []
    own = unmarked = 0
    for shot, read in zip(shots, track(in_threads(_read, shots), len(shots), "reading XMP"), strict=True):
        if isinstance(read, Failure):
            failures.append(read)
            continue
        failures += [Failure(path, problem) for path, said in read for problem in said.problems]
        mark, differing = _combined(shot.picture, read)
        conflicts += differing
        if any(getattr(mark, field) is not None for field in FIELDS):
            marks.append(mark)
        elif any(getattr(said, field) is not None for _, said in read for field in FIELDS):
            own += 1
        else:
            unmarked += 1
    used = {path for shot in shots for path in shot.sidecars}
    return Library(
        marks=tuple(marks),
        own=own,
        unmarked=unmarked,
        conflicts=tuple(conflicts),
        failures=tuple(failures),
        orphans=tuple(sorted(path for path in folders.sidecars() - used if not _is_version(path, used))),
    )


def _is_version(path: Path, used: Set[Path]) -> bool:
    """Whether a sidecar is of another version of a picture in darktable: IMG_01.CR2.xmp of IMG.CR2."""
    return path.with_name(_VERSION.sub(r"\1", path.name)) in used


_Said = list[tuple[Path, Statement]]


def _read(shot: Shot) -> _Said | Failure:
    try:
        return list(statements(shot))
    except (ImageError, OSError) as error:
        return Failure(shot.picture, reason(error))


def _combined(picture: Path, read: _Said) -> tuple[Mark, list[Conflict]]:
    """A person's mark from all files of a picture."""
    values: dict[str, int | str | bool] = {}
    conflicts: list[Conflict] = []
    for field in FIELDS:
        given = [
            (path, getattr(said, field))
            for path, said in read
            if field in said.given and getattr(said, field) is not None
        ]
        if given:
            (first, values[field]), *others = given
            conflicts += [
                Conflict(picture, field, first, path) for path, value in others if value != values[field]
            ]
    return Mark(path=picture, **values), conflicts  # type: ignore[arg-type]

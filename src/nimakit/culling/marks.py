"""Write ratings, labels and picks where photo programs read them, and undo it byte for byte."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nimakit.culling.journal import Applied, Change, Failure, Undone, reason, undo, write_changes
from nimakit.culling.shots import Folders, Shot, Style, is_raw
from nimakit.errors import ImageError
from nimakit.images.xmp.document import Document, Name, read_sidecar
from nimakit.images.xmp.embedded import embed, read_embedded
from nimakit.images.xmp.splices import between
from nimakit.images.xmp.statement import EMPTY, SIDECAR_OF, Statement, properties, read_statement

__all__ = ["Applied", "Kept", "Mark", "Plan", "Undone", "apply", "plan", "undo"]


FIELDS = ("rating", "label", "pick")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What is decided about a picture; None for what stays as it is.

    Attributes:
        path: The picture; RAW files of the same name next to it get the same mark.
        rating: 1 to 5 stars, or -1 for a reject.
        label: A colour such as Red, or any other text.
        pick: True for a pick, False for a reject.
    """

    path: Path
    rating: int | None = None
    label: str | None = None
    pick: bool | None = None

    @property
    def is_reject(self) -> bool:
        """Whether it is a reject, by its flag or else by its rating."""
        return self.pick is False or (self.rating == -1 and self.pick is None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A picture that a person judged before.

    Attributes:
        path: The picture.
        where: The file that says so.
        fields: What is not replaced: ("rating", "pick"), ("label",) or all three.
    """

    path: Path
    where: Path
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Changes that would be made; nothing is written yet.

    Attributes:
        changes: A change for each file to write.
        kept: Pictures whose rating and pick, or label, a person gave.
        unchanged: Files that say the same already.
        failures: Pictures or files that cannot be marked, with reasons.
    """

    changes: tuple[Change, ...]
    kept: tuple[Kept, ...]
    unchanged: tuple[Path, ...]
    failures: tuple[Failure, ...]


def plan(marks: Iterable[Mark], style: Style, *, overwrite_ratings: bool = False) -> Plan:
    """Plan which bytes of which files change. Files are only read.

    A rating, pick or label that a person gave is kept, wherever the picture has it: in a sidecar of any
    style or in the file. Rating and pick count as one judgement. What nimakit wrote is known by a copy in a
    namespace of its own: a value that was changed since is a person's.

    Args:
        marks: At most one for each picture.
        style: Where the values go.
        overwrite_ratings: Whether to replace what people gave.

    Raises:
        ImageError: A rating other than -1 and 1 to 5.
    """
    folders, found = Folders(), _Found()
    for mark in marks:
        values = _values(mark, FIELDS, style)
        try:
            shot = folders.shot(mark.path)
            if not overwrite_ratings and (kept := _given(shot, mark)):
                found.kept.append(kept)
                values = _values(mark, [name for name in FIELDS if name not in kept.fields], style)
            found.add(shot, values, style)
        except (ImageError, OSError) as error:
            found.failures.append(Failure(mark.path, reason(error)))
    return Plan(
        changes=tuple(found.changes.values()),
        kept=tuple(found.kept),
        unchanged=tuple(found.unchanged),
        failures=tuple(found.failures),
    )


def apply(plan: Plan, undo_file: Path) -> Applied:
    """Write the undo file, then each file whole.

    A file keeps its permissions and extended attributes, and gets a new modification time, because programs
    look at it to find sidecars that changed.

    Args:
        plan: From `plan`.
        undo_file: A new file, for `undo`; not written if nothing changes.

    Raises:
        UsageError: The undo file exists.
        OutputError: The undo file could not be written; nothing else is written then.
    """
    return write_changes(plan.changes, undo_file)


class _Found:
    """What a plan consists of, as it grows."""

    def __init__(self) -> None:
        self.changes: dict[Path, Change] = {}
        self.kept: list[Kept] = []
        self.unchanged: list[Path] = []
        self.failures: list[Failure] = []

    def add(self, shot: Shot, values: Mapping[Name, str], style: Style) -> None:
        """Add the changes for one mark; a file that cannot take it is a failure."""
        targets = {shot.target(file, style): file for file in shot.files} if values else {}
        for target, file in targets.items():
            try:
                change = _change(file, target, values)
            except (ImageError, OSError) as error:
                self.failures.append(Failure(file, reason(error)))
                continue
            if change.path in self.changes:
                shared = f"{change.path.name} also belongs to another picture, whose mark it gets."
                self.failures.append(Failure(file, shared))
            elif change.splices:
                self.changes[change.path] = change
            else:
                self.unchanged.append(change.path)


def _values(mark: Mark, fields: Iterable[str], style: Style) -> Mapping[Name, str]:
    """The properties to write for some fields of a mark."""
    return properties(**{name: getattr(mark, name) for name in fields}, flags=style == "lightroom")


def _given(shot: Shot, mark: Mark) -> Kept | None:
    """What a mark would set, but a person gave."""
    where: dict[str, Path] = {}
    for path, statement in statements(shot):
        judged = statement.problems or statement.given & {"rating", "pick"}
        for name in [*(("rating", "pick") if judged else ()), *statement.given]:
            where.setdefault(name, path)
    fields = tuple(name for name in FIELDS if name in where and getattr(mark, name) is not None)
    return Kept(path=shot.picture, where=where[fields[0]], fields=fields) if fields else None


def statements(shot: Shot) -> Iterator[tuple[Path, Statement]]:
    """What each file says about a picture, those that count most first.

    Raises:
        ImageError: A file's XMP is broken; the message names the file.
        OSError: A file cannot be read.
    """
    for path in (*shot.sidecars, *shot.files):
        try:
            read = [read_sidecar(path)] if path in shot.sidecars else read_embedded(path)
        except ImageError as error:
            raise ImageError(f"{path.name}: {error}") from error
        yield from ((path, read_statement(document)) for document in read)


def _change(file: Path, target: Path, values: Mapping[Name, str]) -> Change:
    """The change of a target that gives a file new values."""
    if target == file:
        return Change.of(target, embed(file, values))
    if target.exists():
        old = read_sidecar(target)
        return Change.of(target, between(old.content, old.edited(values)))
    is_shared = is_raw(file) and target.stem == file.stem
    named = {SIDECAR_OF: file.suffix[1:].upper()} if is_shared else {}
    return Change.of(target, between(b"", Document(EMPTY).edited({**named, **values})))

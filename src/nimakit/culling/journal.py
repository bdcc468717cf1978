"""Change files with a way back: an undo file is written first, then each file whole."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from nimakit.errors import NimakitError, OutputError, UnwritableError, UsageError
from nimakit.images.xmp.splices import Splice, digest, inverse, spliced
from nimakit.io.atomic import atomic_bytes, atomic_update, output_errors

_VERSION = 1
_CHANGED = "The file was changed since; restore it by hand, or leave it."


class Failure(NamedTuple):
    """A file that was left as it is, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of a file.

    Attributes:
        path: The file, absolute.
        before: SHA-256 of its content; None if it does not exist yet.
        after: SHA-256 of its new content.
        splices: What turns one into the other.
        restoring: What turns it back.
    """

    path: Path
    before: str | None
    after: str
    splices: tuple[Splice, ...]
    restoring: tuple[Splice, ...]

    @classmethod
    def of(cls, path: Path, splices: tuple[Splice, ...]) -> "Change":
        """A change of a file as it is now.

        Raises:
            OSError: It cannot be read.
        """
        with _opened(path) as stream:
            return cls(
                path=path.absolute(),
                before=digest(spliced(stream, ())) if path.exists() else None,
                after=digest(spliced(stream, splices)),
                splices=splices,
                restoring=inverse(stream, splices),
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """The result of applying changes.

    Attributes:
        written: Files that were written.
        failures: Files that are as they were before.
    """

    written: tuple[Path, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """The result of undoing changes.

    Attributes:
        restored: Files that are as they were before, byte for byte; new ones are deleted.
        unchanged: Files that had never been changed, or were restored before.
        failures: Files left as they are, because they were changed since or cannot be written.
    """

    restored: tuple[Path, ...]
    unchanged: tuple[Path, ...]
    failures: tuple[Failure, ...]


def write_changes(changes: Sequence[Change], undo_file: Path) -> Applied:
    """Write the undo file, then each file whole.

    Raises:
        UsageError: The undo file exists.
        OutputError: The undo file could not be written; nothing else is written then.
    """
    if undo_file.exists():
        raise UsageError(
            f"An undo file must be new, or an earlier change could not be undone. Received: {undo_file}"
        )
    if changes:
        atomic_bytes(_journal(changes), undo_file)
    written: list[Path] = []
    failures: list[Failure] = []
    for place, change in enumerate(changes):
        try:
            _write(change.path, change.splices, change.after)
        except UnwritableError as error:
            failures.append(Failure(change.path, str(error)))
        except OutputError as error:  # most likely a full disk, which stops all later files too
            failures += [Failure(later.path, str(error)) for later in changes[place:]]
            break
        else:
            written.append(change.path)
    return Applied(written=tuple(written), failures=tuple(failures))


def add_transfers(undo_file: Path, transfers: Sequence[Mapping[str, Any]]) -> None:
    """Add copies, links and moves to an undo file before they are made; without one, write it.

    Args:
        undo_file: The undo file.
        transfers: Plain JSON values, from `nimakit.culling.placing.records`.

    Raises:
        UsageError: The file is no undo file.
        OutputError: It could not be written.
    """
    content: dict[str, Any] = {"nimakit_undo": _VERSION, "changes": []}
    if undo_file.exists():
        content = _content(undo_file)
    content["transfers"] = [*content.get("transfers", []), *transfers]
    atomic_bytes(json.dumps(content, indent=1).encode(), undo_file)


def read_transfers(undo_file: Path) -> list[Mapping[str, Any]]:
    """The copies, links and moves in an undo file, in the order in which they were made.

    Raises:
        UsageError: The undo file is missing or is none.
    """
    found: list[Mapping[str, Any]] = _content(undo_file).get("transfers", [])
    return found


def undo(undo_file: Path) -> Undone:
    """Restore the files that were changed; also after a crash in the middle of `write_changes` or of `undo`.

    Raises:
        UsageError: The undo file is missing or is none.
    """
    restored: list[Path] = []
    unchanged: list[Path] = []
    failures: list[Failure] = []
    for change in _read_journal(undo_file):
        try:
            now = _digest_of(change.path)
            if now == change.before:
                unchanged.append(change.path)
                continue
            if now != change.after:
                raise UnwritableError(_CHANGED if now else "The file is missing.")
            if change.before is None:
                with output_errors(str(change.path)):
                    change.path.unlink()
            else:
                _write(change.path, change.restoring, change.before)
        except (OutputError, OSError) as error:
            reason = (
                str(error) if isinstance(error, NimakitError) else f"It cannot be read: {error.strerror}."
            )
            failures.append(Failure(change.path, reason))
        else:
            restored.append(change.path)
    return Undone(restored=tuple(restored), unchanged=tuple(unchanged), failures=tuple(failures))


def reason(error: NimakitError | OSError) -> str:
    """Why a file was left as it is."""
    return str(error) if isinstance(error, NimakitError) else f"The file cannot be read: {error.strerror}."


def _write(path: Path, splices: Sequence[Splice], after: str) -> None:
    """Replace a file by its content after splices, if that is what was planned."""
    try:
        with _opened(path) as stream, atomic_update(path) as output:
            parts = (part for part in spliced(stream, splices) if output.write(part) is not None)
            if digest(parts) != after:
                raise UnwritableError("The file was changed while this was planned.")
    except OSError as error:
        raise UnwritableError(reason(error)) from error


def _opened(path: Path) -> IO[bytes]:
    """A file; an empty one where it does not exist."""
    return path.open("rb") if path.exists() else io.BytesIO()


def _digest_of(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as stream:
        return digest(spliced(stream, ()))


def _journal(changes: Sequence[Change]) -> bytes:
    entries = [
        {
            "path": str(change.path),
            "before": change.before,
            "after": change.after,
            "splices": [
                [start, stop, base64.b64encode(content).decode()] for start, stop, content in change.restoring
            ],
        }
        for change in changes
    ]
    return json.dumps({"nimakit_undo": _VERSION, "changes": entries}, indent=1).encode()


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        if content["nimakit_undo"] != _VERSION:
            raise ValueError(f"version {content['nimakit_undo']}")
    except OSError as error:
        raise UsageError(f"The undo file must be readable. Received: {path} ({error.strerror})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"An undo file must be one that nimakit wrote. Received: {path} ({error})"
        ) from error
    return dict(content)


def _read_journal(path: Path) -> list[Change]:
    content = _content(path)
    try:
        return [
            Change(
                path=Path(entry["path"]),
                before=entry["before"],
                after=entry["after"],
                splices=(),
                restoring=tuple(
                    Splice(start, stop, base64.b64decode(text)) for start, stop, text in entry["splices"]
                ),
            )
            for entry in content["changes"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"An undo file must be one that nimakit wrote. Received: {path} ({error})"
        ) from error

"""Files that appear whole or not at all, in valid UTF-8."""

import codecs
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from nimakit.errors import OutputError, UnwritableError, UsageError

_OF_ONE_FILE = frozenset(
    (
        *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
        *(errno.ENOTEMPTY, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOENT),
    )
)
"""Errors about one name or place. Any other, such as a full disk, would stop every later file too."""

ESCAPE = "nimakit.escape"
"""An error handler for encoding: writes what is no character as ``%E9``, a byte each."""


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    try:
        content = wrong.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, as JSON can have it
        content = wrong.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in content), error.end


codecs.register_error(ESCAPE, _escape)


def escaped(text: str) -> str:
    r"""Text with every byte that is no UTF-8, as file names may have, written as ``%E9``.

    >>> escaped("caf\udce9.jpg")
    'caf%E9.jpg'
    """
    return text.encode("utf-8", ESCAPE).decode()


def check_output(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse an output path before hours of work go towards it.

    Raises:
        UsageError: Another suffix than those, or a folder that is missing or cannot be written to.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"The output file ends in {', '.join(suffixes)}. Received: {path}")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"The folder of an output file must exist and be writable. Received: {path}")
    _refuse_long_name(path, folder)
    if path.is_dir():
        raise UsageError(f"An output file must not be a folder. Received: {path}")


def check_folder(folder: Path) -> None:
    """Refuse a folder of outputs before hours of work go towards it; nothing is made yet.

    Raises:
        UsageError: It can neither be written to nor be made.
    """
    missing = []
    there = folder.absolute()
    while not os.path.lexists(there):
        missing.append(there)
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(
            f"The folder of the outputs must be writable, or be one that can be made. Received: {folder}"
        )
    for path in missing:
        _refuse_long_name(path, there)


def _refuse_long_name(path: Path, folder: Path) -> None:
    """Refuse a name that is too long for the file system of an existing folder."""
    longest = os.pathconf(folder, "PC_NAME_MAX")
    if len(os.fsencode(path.name)) > longest:
        raise UsageError(f"The name of an output has at most {longest} bytes. Received: {path}")


def exists(path: Path) -> bool:
    """Whether there is a file or a folder; a name that none can have, as it is too long, is not there."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises an error for such a name


def make_folder(folder: Path) -> None:
    """Make a folder of outputs, and those around it, where missing.

    Raises:
        OutputError: It could not be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = UnwritableError if error.errno in _OF_ONE_FILE else OutputError
        raise kind(f"{folder} could not be made: {error.strerror}.") from error


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[str]]:
    """A text file that appears whole or not at all.

    Args:
        path: Where it will be; an older file there stays until the new one is complete.

    Raises:
        OutputError: It could not be written: a full disk, most likely.
    """
    with (
        _partial(path) as partial,
        named(str(path)),
        partial.open("w", encoding="utf-8", errors=ESCAPE, newline="") as stream,
    ):
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def atomic_copy(source: Path, path: Path) -> None:
    """Copy a file; the copy appears whole or not at all.

    Raises:
        OutputError: It could not be written.
    """
    with _partial(path) as partial, named(str(path)):
        shutil.copyfile(source, partial)


def atomic_bytes(content: bytes, path: Path) -> None:
    """Write a file of these bytes; it appears whole or not at all.

    Raises:
        OutputError: It could not be written.
    """
    with _partial(path) as partial, named(str(path)), partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def keep_private(path: Path) -> None:
    """Let only its owner read a file that everybody could read; one that is open to a group stays as it is.

    Args:
        path: Of a file with secrets or ratings. A missing one, and another user's, is passed over.
    """
    with suppress(FileNotFoundError, PermissionError):
        if path.stat().st_mode & 0o007:
            path.chmod(0o600)


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Files of one folder that appear all at once, when the last of them is complete.

    A new train file beside an older test file would share images with it.

    Args:
        folder: Where they will be; older files of other names stay.

    Yields:
        A folder in it to write them into, below further folders too.

    Raises:
        OutputError: They could not be written; none has appeared then, as far as disks go.
    """
    with named(str(folder)):
        partial = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=folder))
    try:
        yield partial
        sources = sorted(path for path in partial.rglob("*") if path.is_file())
        targets = [folder / source.relative_to(partial) for source in sources]
        for target in targets:
            if target.is_dir():
                raise UnwritableError(f"{target} could not be written: {os.strerror(errno.EISDIR)}.")
        for source, target in zip(sources, targets, strict=True):
            with named(str(target)):
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
    except OutputError as error:
        raise type(error)(str(error).replace(str(partial), str(folder))) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def all_or_none(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Files of any folders that appear when the last of them is complete.

    Args:
        paths: Where they will be; older files there stay until then.

    Yields:
        A path to write for each, of the same suffix.

    Raises:
        OutputError: They could not be written; none has appeared then, as far as disks go.
    """
    with ExitStack() as stack:
        partials = [stack.enter_context(_partial(path, path.suffix)) for path in paths]
        try:
            yield partials
        except OutputError as error:
            message = str(error)
            for partial, path in zip(partials, paths, strict=True):
                message = message.replace(str(partial), str(path))
            raise type(error)(message) from error


@contextmanager
def _partial(path: Path, suffix: str = "") -> Iterator[Path]:
    """A name beside a path, for what takes its place once it is complete."""
    partial = path.with_name(f".{secrets.token_hex(6)}.partial{suffix}")
    try:
        yield partial
        with named(str(path)):
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Say which output failed; a reader that went away is no failure of ours."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = UnwritableError if error.errno in _OF_ONE_FILE else OutputError
        raise kind(f"{name} could not be written: {error.strerror}.") from error

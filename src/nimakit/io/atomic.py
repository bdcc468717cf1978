"""Write files atomically (complete or not at all) and in valid UTF-8."""

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

_SINGLE_FILE_ERRORS = frozenset(
    (
        *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
        *(errno.ENOTEMPTY, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOENT),
    )
)
"""Errors that concern one name or folder. Others, such as a full disk, would stop every later file too."""

ESCAPE = "nimakit.escape"
"""Encoding error handler that writes each byte that is not UTF-8 as ``%E9``."""


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    try:
        content = wrong.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, which JSON allows
        content = wrong.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in content), error.end


codecs.register_error(ESCAPE, _escape)


def escaped(text: str) -> str:
    r"""Text in which every byte that is not UTF-8, as in some file names, is written as ``%E9``.

    >>> escaped("caf\udce9.jpg")
    'caf%E9.jpg'
    """
    return text.encode("utf-8", ESCAPE).decode()


def check_output(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse an output file before the work begins, which may take hours.

    Raises:
        UsageError: The suffix is not allowed, or the folder is missing or not writable.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"The output file must end in {', '.join(suffixes)}. Received: {path}")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"The folder of an output file must exist and be writable. Received: {path}")
    _refuse_long_name(path, folder)
    if path.is_dir():
        raise UsageError(f"An output file must not be a folder. Received: {path}")


def check_folder(folder: Path) -> None:
    """Refuse an output folder before the work begins, which may take hours; nothing is created.

    Raises:
        UsageError: It is not writable and cannot be created.
    """
    missing = []
    existing = folder.absolute()
    while not os.path.lexists(existing):
        missing.append(existing)
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"The output folder must be writable or possible to create. Received: {folder}")
    for path in missing:
        _refuse_long_name(path, existing)


def _refuse_long_name(path: Path, folder: Path) -> None:
    """Refuse a name that is too long for the file system of a folder."""
    longest = os.pathconf(folder, "PC_NAME_MAX")
    if len(os.fsencode(path.name)) > longest:
        raise UsageError(f"The name of an output must have at most {longest} bytes. Received: {path}")


def exists(path: Path) -> bool:
    """Whether a file or folder exists; False for a name that is too long to exist."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises an error for such a name


def make_folder(folder: Path) -> None:
    """Create an output folder and its parents.

    Raises:
        OutputError: It could not be created.
    """
    with output_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[str]]:
    """Open a text file for writing that replaces the file at `path` only once it is complete.

    Raises:
        OutputError: It could not be written, most likely because the disk is full.
    """
    with (
        _partial(path) as partial,
        output_errors(str(path)),
        partial.open("w", encoding="utf-8", errors=ESCAPE, newline="") as stream,
    ):
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def atomic_copy(source: Path, path: Path) -> None:
    """Copy a file atomically.

    Raises:
        OutputError: It could not be written.
    """
    with _partial(path) as partial, output_errors(str(path)):
        shutil.copyfile(source, partial)


def atomic_bytes(content: bytes, path: Path) -> None:
    """Write bytes to a file atomically.

    Raises:
        OutputError: It could not be written.
    """
    with _partial(path) as partial, output_errors(str(path)), partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def atomic_update(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that replaces the file at `path` only once it is complete.

    An existing file keeps its permissions and extended attributes, and gets a new modification time. The file
    that a link points to is replaced, not the link.

    Raises:
        OutputError: It could not be written; an `UnwritableError` also if it is write-protected.
    """
    target = path.resolve()
    existing = target.stat() if exists(target) else None
    if existing and not existing.st_mode & 0o222:
        raise UnwritableError(f"{path} could not be written: it is write-protected.")
    with _partial(target) as partial, output_errors(str(path)):
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if existing:
            shutil.copystat(target, partial)
            os.utime(partial)


def keep_private(path: Path) -> None:
    """Make a file that everybody may read readable by its owner only; a file open only to a group stays so.

    Args:
        path: A file with secrets or ratings. Nothing happens if it is missing or belongs to another user.
    """
    with suppress(FileNotFoundError, PermissionError):
        if path.stat().st_mode & 0o007:
            path.chmod(0o600)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write several files of a folder that appear together, once all are complete.

    Otherwise a failure could leave a new train file next to an older test file that shares images with it.

    Args:
        folder: The folder they appear in; other files in it stay.

    Yields:
        A temporary folder to write them to; it may have sub-folders.

    Raises:
        OutputError: They could not be written. None has appeared then, unless the disk failed in between.
    """
    with output_errors(str(folder)):
        partial = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=folder))
    try:
        yield partial
        sources = sorted(path for path in partial.rglob("*") if path.is_file())
        targets = [folder / source.relative_to(partial) for source in sources]
        for target in targets:
            if target.is_dir():
                raise UnwritableError(f"{target} could not be written: {os.strerror(errno.EISDIR)}.")
        for source, target in zip(sources, targets, strict=True):
            with output_errors(str(target)):
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
    except OutputError as error:
        raise type(error)(str(error).replace(str(partial), str(folder))) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def atomic_files(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Write several files, in any folders, that appear once all are complete.

    Args:
        paths: The files; older ones stay until then.

    Yields:
        A temporary path for each, with the same suffix.

    Raises:
        OutputError: They could not be written. None has appeared then, unless the disk failed in between.
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
    """A temporary file in the folder of `path` that replaces it at the end."""
    partial = path.with_name(f".{secrets.token_hex(6)}.partial{suffix}")
    try:
        yield partial
        with output_errors(str(path)):
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def output_errors(name: str) -> Iterator[None]:
    """Raise an OutputError that names the output for an OSError; a closed pipe passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = UnwritableError if error.errno in _SINGLE_FILE_ERRORS else OutputError
        raise kind(f"{name} could not be written: {error.strerror}.") from error

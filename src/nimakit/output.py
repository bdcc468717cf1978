"""Files that appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nimakit.errors import OutputError, UsageError


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
    if path.is_dir():
        raise UsageError(f"An output file must not be a folder. Received: {path}")


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
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
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


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A name beside a path, for what takes its place once it is complete."""
    partial = path.with_name(f".{secrets.token_hex(6)}.partial")
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
        raise OutputError(f"{name} could not be written: {error.strerror}.") from error

"""A folder of downloaded images, with a log of their URLs."""

import hashlib
import io
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from nimakit.errors import UsageError
from nimakit.images.formats import KINDS, SHARED_FORMATS, identify
from nimakit.images.photo import open_photo
from nimakit.io.atomic import output_errors
from nimakit.io.rules import Rule, broken_rules, is_integer, is_text

_NAME_DIGITS = 32
"""Digits of the hash in a file name: 128 bits."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An image in the folder.

    Attributes:
        url: The URL it was downloaded from.
        file: Its name in the folder; the stem is the first 32 digits of the hash.
        sha256: Hash of its content, in hexadecimal.
        size: In bytes.
        time: When it was downloaded, ISO 8601, UTC.
    """

    url: str
    file: str
    sha256: str
    size: int
    time: str


_LOG_RULES = {
    "url": Rule(is_text, "text", required=True),
    "file": Rule(is_text, "text", required=True),
    "sha256": Rule(is_text, "text", required=True),
    "size": Rule(is_integer(1), "1 or more", required=True),
    "time": Rule(is_text, "text", required=True),
}


class ImageStore:
    """A folder of images named by their content, so that the same image from two URLs is one file.

    Each image is logged once its file is complete, so a process that is killed loses only the downloads in
    progress. Use it as ``with ImageStore.open(folder, log) as store``.

    Attributes:
        added: How many images were added since it was opened.
    """

    def __init__(self, folder: Path, log: io.FileIO, known: dict[str, Stored]) -> None:
        self._folder = folder
        self._log = log
        self._known = known
        self.added = 0

    @classmethod
    @contextmanager
    def open(cls, folder: Path, log: Path) -> Iterator["ImageStore"]:
        """Open a folder, and lock it for this process.

        Args:
            folder: The folder of the images; created if missing.
            log: JSON Lines, one `Stored` per line; created if missing.

        Raises:
            UsageError: Another process has it open.
            OutputError: It cannot be written to.
        """
        with output_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
        with output_errors(str(log)):
            stream = log.open("a+b", buffering=0)
        with stream:
            _lock(stream, log)
            for partial in folder.glob(".*.partial"):  # left by a process that was killed
                partial.unlink()
            yield cls(folder, stream, _read_log(stream))

    def find(self, url: str) -> Stored | None:
        """The image of a URL; None if there is none yet, or its file has changed."""
        stored = self._known.get(url)
        if stored is None:
            return None
        path = self._folder / stored.file
        try:
            if path.stat().st_size != stored.size:
                return None
            with path.open("rb") as file:
                return stored if hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256 else None
        except OSError:
            return None

    def add(self, url: str, content: bytes, suffix: str) -> Stored:
        """Store an image.

        Args:
            url: The URL it was downloaded from.
            content: The bytes of the file.
            suffix: From `image_suffix`.

        Raises:
            OutputError: It could not be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / f"{digest[:_NAME_DIGITS]}{suffix}"
        partial = self._folder / f".{secrets.token_hex(6)}.partial"
        try:
            with output_errors(str(path)):
                partial.write_bytes(content)
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        stored = Stored(url, path.name, digest, len(content), now)
        with output_errors(str(self._log.name)):
            self._log.write(json.dumps(asdict(stored)).encode() + b"\n")
        self._known[url] = stored
        self.added += 1
        return stored


def image_suffix(content: bytes, max_pixels: int) -> str:
    """Decode an image to check it.

    Args:
        content: The bytes of a file.
        max_pixels: Maximum width times height.

    Returns:
        The suffix of its format, such as ".jpg".

    Raises:
        ImageError: It is not an image, is damaged, or is too large.
    """
    open_photo(content, max_pixels=max_pixels, formats=SHARED_FORMATS)
    return KINDS[identify(io.BytesIO(content))].suffixes[0]


def _lock(stream: io.FileIO, log: Path) -> None:
    """Refuse a second process, which would download everything twice."""
    import fcntl  # not on Windows

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            f"Only one process at a time can download into a folder. Received: {log}, which another has open;"
            " wait for it to end."
        ) from error


def _read_log(stream: io.FileIO) -> dict[str, Stored]:
    """Read the log: URL -> image. An incomplete last line, left by a killed process, is removed."""
    stream.seek(0)
    content = stream.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        stream.truncate(whole)
    known = {}
    for line in content[:whole].splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # its image is downloaded again
        if isinstance(entry, dict) and not broken_rules(entry, _LOG_RULES):
            known[entry["url"]] = Stored(**entry)
    return known

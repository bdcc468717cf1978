"""Pictures uploaded in the browser: received in parts, checked, and placed into a folder of the app."""

import fcntl
import hashlib
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nimakit.errors import BusyError, UsageError
from nimakit.io.child_process import ChildProcess
from nimakit.web.collections.upload_checks import MisplacedError, QuotaError, is_there, problem_of
from nimakit.web.collections.upload_names import ZIP, safe_path
from nimakit.web.collections.upload_zip import LARGEST_ZIP, check_entry, open_zip, read_entry
from nimakit.web.db.tables import Collection

LARGEST_PICTURE = 100 << 20
PART = 4 << 20
"""Most bytes of a part."""

THERE, WANTED, REFUSED, ZIPPED = "there", "wanted", "refused", "zip"
"""States of a file: placed, not complete yet, refused with a reason, and a complete zip file to unpack."""

_PARTIAL = ".upload"
"""Folder of incomplete files in a collection's folder, which the app does not scan because it is hidden."""
_SPARE = 1 << 30
"""Bytes of the disk that stay free for ratings."""
_SECONDS_COUNTED = 60.0
_SECONDS_UNPACKING = 3.0
"""A request unpacks no longer, and the browser asks again."""
_SECONDS_KEPT = 24 * 3600
"""An upload that was interrupted can be continued within this time."""


@dataclass(slots=True)
class Unpacked:
    """What a request has unpacked of a zip file.

    Attributes:
        done: Number of entries that are done, where the next request continues.
        total: Number of entries.
        placed: Number of pictures that are in the folder now.
        refused: Name and reason of each file that was refused.
    """

    done: int
    total: int
    placed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


class Uploads:
    """Receives pictures into folders that belong to the app.

    Args:
        folder: Contains a folder for each collection.
        quota: Most bytes in all of them.
        child: Decodes pictures to check them, one at a time and at a lower priority than requests.
        max_pixels: Largest width times height of a picture.
    """

    def __init__(self, folder: Path, quota: int, child: ChildProcess, max_pixels: int) -> None:
        self.folder = folder
        self.quota = quota
        self._child = child
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._counted = -_SECONDS_COUNTED
        self._used = 0
        self._last: tuple[Path, Unpacked] | None = None
        """The zip file that was done last, with the answer, which a browser may have missed."""

    def owns(self, collection: Collection) -> bool:
        """Whether the pictures of a collection were uploaded, so that more may be added."""
        return Path(collection.folder).parent == self.folder

    def claim(self, name: str) -> bool:
        """Make a folder for a new collection; whether there was none of that name.

        A duplicate may still use the folder of a removed collection.
        """
        try:
            (self.folder / name).mkdir(parents=True)
        except FileExistsError:
            return False
        return True

    def forget_abandoned(self) -> bool:
        """Delete what nobody has continued for a day; a chore of the background thread."""
        for partial in self.folder.glob(f"*/{_PARTIAL}/*"):
            with suppress(FileNotFoundError):  # placed meanwhile
                if time.time() - partial.stat().st_mtime > _SECONDS_KEPT:
                    self._drop(partial)
        return False

    def left(self) -> int:
        """Bytes that may still be uploaded."""
        with self._lock:
            if time.monotonic() - self._counted >= _SECONDS_COUNTED:
                self._used = sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_file())
                self._counted = time.monotonic()
            free = shutil.disk_usage(self.folder).free - _SPARE if self.folder.exists() else self.quota
            return max(0, min(self.quota - self._used, free))

    def state_of(self, root: Path, name: str, size: int) -> dict[str, Any]:
        """What is known of a file that a browser offers.

        Args:
            root: The collection's folder.
            name: Path that the browser gives.
            size: Bytes.

        Returns:
            ``state``, one of the constants above; with `WANTED`, ``offset`` in bytes; with `REFUSED`,
            ``reason``.
        """
        try:
            path = self._path(name, size)
            partial = self._partial(root, path, size)
            received = partial.stat().st_size if partial.is_file() else 0
            if path.lower().endswith(ZIP):
                return {"state": ZIPPED} if received == size else {"state": WANTED, "offset": received}
            if is_there(root / path, size):
                return {"state": THERE}
        except UsageError as error:
            return {"state": REFUSED, "reason": str(error)}
        return {"state": WANTED, "offset": received}

    def receive(self, root: Path, name: str, size: int, offset: int, content: bytes) -> dict[str, Any]:
        """Append a part to a file; the last part completes and checks it.

        Args:
            root: The collection's folder.
            name: Path that the browser gives.
            size: Bytes of the whole file.
            offset: Where the part begins.
            content: The part.

        Returns:
            As `state_of`.

        Raises:
            MisplacedError: The file continues elsewhere.
            QuotaError: There is no room.
        """
        try:
            path = self._path(name, size)
        except UsageError as error:
            return {"state": REFUSED, "reason": str(error)}
        partial = self._partial(root, path, size)
        partial.parent.mkdir(parents=True, exist_ok=True)
        self._reserve(len(content))
        with self._lock, partial.open("ab") as stream:
            received = stream.tell()
            if received != offset or offset + len(content) > size:
                self._used -= len(content)
                raise MisplacedError(received)
            stream.write(content)
        if offset + len(content) < size:
            return {"state": WANTED, "offset": offset + len(content)}
        if path.lower().endswith(ZIP):
            return {"state": ZIPPED}
        reason = self._place(root, path, partial, size)
        return {"state": REFUSED, "reason": reason} if reason else {"state": THERE}

    def unpack(self, root: Path, name: str, size: int, start: int) -> Unpacked:
        """Unpack some entries of a complete zip file, which is deleted after the last one.

        Args:
            root: The collection's folder.
            name: Path that the browser gives.
            size: Bytes.
            start: Number of entries that are done.

        Raises:
            UsageError: There is no such zip file, or it cannot be read.
            QuotaError: There is no room.
            BusyError: Another request is unpacking it.
        """
        archive_file = self._partial(root, self._path(name, size), size)
        if not archive_file.is_file() or archive_file.stat().st_size != size:
            if self._last is not None and self._last[0] == archive_file:
                return self._last[1]
            raise UsageError("The zip file is not complete. Upload it again.")
        with archive_file.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError("The zip file is being unpacked. Try again in a moment.") from None
            return self._unpack(root, archive_file, start)

    def _unpack(self, root: Path, archive_file: Path, start: int) -> Unpacked:
        until = time.monotonic() + _SECONDS_UNPACKING
        try:
            with open_zip(archive_file) as archive:
                files = (entry for entry in archive.infolist() if not entry.is_dir())
                entries = [*{(entry.filename, entry.file_size): entry for entry in files}.values()]
                result = Unpacked(min(max(start, 0), len(entries)), len(entries))
                for entry in entries[result.done :]:
                    if time.monotonic() > until:
                        break
                    reason = self._unpack_entry(root, archive, entry)
                    result.placed += not reason
                    if reason:
                        result.refused.append((entry.filename, reason))
                    result.done += 1
        except QuotaError:
            raise
        except UsageError:
            self._drop(archive_file)
            raise
        if result.done == result.total:
            self._last = archive_file, result
            self._drop(archive_file)
        return result

    def _unpack_entry(self, root: Path, archive: Any, entry: Any) -> str:
        """Place an entry of a zip file; the reason if it is refused."""
        try:
            path = safe_path(entry.filename)
            check_entry(entry, LARGEST_PICTURE)
            if is_there(root / path, entry.file_size):
                return ""
            self._reserve(entry.file_size)
            partial = self._partial(root, path, entry.file_size)
            try:
                with partial.open("wb") as stream:
                    for block in read_entry(archive, entry):
                        stream.write(block)
            except UsageError:
                self._reserve(-entry.file_size)
                partial.unlink(missing_ok=True)
                raise
            return self._place(root, path, partial, entry.file_size)
        except QuotaError:
            raise
        except UsageError as error:
            return str(error)

    def _place(self, root: Path, path: str, partial: Path, size: int) -> str:
        """Move a complete file to its place; the reason if it is refused, and then it is deleted."""
        reason = self._child.run(problem_of, str(partial), self._max_pixels)
        with self._lock:
            target = root / path
            try:
                if not partial.exists() and is_there(target, size):  # another request has placed it
                    return ""
                if not reason and not is_there(target, size):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    partial.replace(target)
                    return ""
            except UsageError as error:
                reason = str(error)
            except (FileExistsError, NotADirectoryError):
                reason = "another picture has the name of its folder"
        self._drop(partial)
        return reason

    def _drop(self, file: Path) -> None:
        with suppress(FileNotFoundError):
            size = file.stat().st_size
            self._reserve(-size)  # before the file is gone, as it may count all files anew
            file.unlink()

    def _reserve(self, size: int) -> None:
        """Count bytes before they are written.

        Raises:
            QuotaError: There is no room for them.
        """
        left = self.left()
        if size > left:
            raise QuotaError(
                f"The app has room for {self.quota >> 20:,} MB of uploaded pictures, and keeps"
                f" {_SPARE >> 20:,} MB of its disk free. Left: {left >> 20:,} MB. Delete a collection of"
                " uploaded pictures, or raise NIMAKIT_RATE_UPLOADS_MB."
            )
        with self._lock:
            self._used += size

    def _path(self, name: str, size: int) -> str:
        is_zip = name.lower().endswith(ZIP)
        path = safe_path(name, (ZIP,)) if is_zip else safe_path(name)
        if not 0 < size <= (LARGEST_ZIP if is_zip else LARGEST_PICTURE):
            raise UsageError(
                "a zip file must have less than 4 GB; split it"
                if is_zip
                else f"a picture must have 1 byte to {LARGEST_PICTURE >> 20} MB"
            )
        return path

    def _partial(self, root: Path, path: str, size: int) -> Path:
        name = hashlib.sha256(f"{size} {path}".encode()).hexdigest()[:32]
        return root / _PARTIAL / f"{name}.part"

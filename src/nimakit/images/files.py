"""Image files of a folder: which there are, and which belongs to an image_id."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from nimakit.errors import NoImagesError, UsageError
from nimakit.io.atomic import escaped

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tiff", ".tif", ".gif")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What is in no name that can be shown; every kind of space, joiner and emoji can be."""

_LISTED = 5
_TYPES = "|".join(map(re.escape, SUFFIXES))
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|//|/data/(local-files|upload)/", re.IGNORECASE)
_WITH_QUERY = re.compile(rf"({_TYPES})[?#]", re.IGNORECASE)
_PARAMETERS = re.compile(rf"({_TYPES});[^/]*$", re.IGNORECASE)
UPLOAD = re.compile(r"(/data/upload/(?:[^/?#]+/)*[0-9a-f]{8})-(?=[^/?#])")
"""Where Label Studio puts eight digits before the name of an uploaded file."""
WHOLE_NUMBER = re.compile(r"([0-9]+)(\.0)?")
"""The name of an image, or what a spreadsheet or pandas makes of it in a column that has a gap."""
_ID_DIGITS = 4
"""A number with as many digits is a picture's number, and 953619.0 no version of it."""
_ROUNDED_NUMBER = re.compile(r"[0-9](\.[0-9]+)?[eE]\+[0-9]+")


def image_id(path: str | os.PathLike[str]) -> str:
    r"""The file name without its last suffix, as `canonical` text.

    >>> image_id("shoot/a.b.jpg"), image_id(r"C:\photos\a.b.jpg")
    ('a.b', 'a.b')
    """
    return canonical(Path(Path(path).name.rpartition("\\")[2]).stem)


def canonical(name: str) -> str:
    r"""The one spelling that a name has wherever names are compared.

    A Mac writes an umlaut as two characters (NFD), other systems as one (NFC), which is taken. A byte that
    is no UTF-8 is written as ``%E9``.

    >>> canonical("Zu\u0308rich") == "Z\u00fcrich"
    True
    """
    return unicodedata.normalize("NFC", escaped(name))


def plain_id(text: str) -> str:
    r"""The image_id of an image that a table names by a file name, a path or a URL, with or without suffix.

    953619.0 is 953619, as spreadsheets write numbers; a shorter 1.0 is a name.

    Raises:
        ValueError: No file can be meant.

    >>> plain_id("shoot/a.b.JPG"), plain_id("a.b"), plain_id("953619.0"), plain_id("1.0")
    ('a.b', 'a.b', '953619', '1.0')
    >>> plain_id("https://example.org/my%20lake.jpg?w=800"), plain_id(r"C:\photos\lake.jpg")
    ('my lake', 'lake')
    """
    name = path_parts(text)[-1]
    number = WHOLE_NUMBER.fullmatch(name)
    return number[1] if number and len(number[1]) >= _ID_DIGITS else without_suffix(name)


def without_suffix(name: str) -> str:
    """A file name in a table without its suffix, where that is one of an image."""
    return image_id(name) if name.lower().endswith(SUFFIXES) else name


def path_parts(text: str) -> tuple[str, ...]:
    r"""Folders and file name of an image that a table names by a file name, a path or a URL.

    Only of a URL, or a path of Label Studio, the query is taken off and %20 read as a space: a file may be
    called ``100%20.jpg`` or ``what?.jpg``.

    Returns:
        As `canonical` text, the file name last. The host of a URL counts as a folder, and so does what Label
        Studio puts before the name of an uploaded file.

    Raises:
        ValueError: No file can be meant.

    >>> path_parts("https://example.org/p/lake.jpg?w=800"), path_parts(r"p\lake.jpg")
    (('example.org', 'p', 'lake.jpg'), ('p', 'lake.jpg'))
    >>> path_parts("/data/upload/1/0a1b2c3d-lake.jpg")
    ('data', 'upload', '1', '0a1b2c3d', 'lake.jpg')
    """
    has_query = _WITH_QUERY.search(text) and not text.lower().endswith(SUFFIXES)
    path = _path_of(text) if _URL.match(text) or has_query else text.rstrip("/")
    *folders, name = re.split(r"[\\/]", UPLOAD.sub(r"\1/", path))
    if _ROUNDED_NUMBER.fullmatch(name):
        raise ValueError(f"an image must be named by all its digits: save them as text; received {text!r}")
    if not name:
        raise ValueError(f"an image must be named by its file name; received {text!r}")
    return *(canonical(folder) for folder in folders if folder not in ("", ".")), canonical(name)


def _path_of(url: str) -> str:
    """Host and path of a URL, or the path in its query: Label Studio's /data/local-files/?d=lake.jpg."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"a URL of an image must be a valid one ({error}); received {url!r}") from None
    path = _PARAMETERS.sub(r"\1", unquote(parts.path, errors="surrogateescape"))
    queries = parse_qs(parts.query, errors="surrogateescape").values()
    images = [value for values in queries for value in values if value.lower().endswith(SUFFIXES)]
    if path.lower().endswith(SUFFIXES):
        return f"{parts.netloc}/{path}"
    if len(images) != 1:
        raise ValueError(f"a URL must end in the file name of an image, such as lake.jpg; received {url!r}")
    return images[0]


@dataclass(slots=True)
class LeftOut:
    """What a scan of a folder passes over.

    Attributes:
        suffixes: Files of other kinds: suffix in small letters, empty for none -> how many.
        hidden: Image files with a leading dot.
        folders: Sub-folders that were not looked into.
        links: Linked folders, which are never entered: they may lead in circles.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    folders: int = 0
    links: list[str] = field(default_factory=list)

    def takes(self, name: str) -> bool:
        """Whether a file is taken for an image, by its suffix; it is counted where it is not.

        Args:
            name: File name; of hidden files only those that look like images count.
        """
        is_image = name.lower().endswith(SUFFIXES)
        if name.startswith("."):
            self.hidden += is_image
            return False
        if not is_image:
            self.suffixes[Path(name).suffix.lower()] += 1
        return is_image

    def __str__(self) -> str:
        """Such as ``12 .heic, 1 linked folder (album)``; empty where nothing is left out."""
        counts = sorted(self.suffixes.items(), key=lambda one: (-one[1], not one[0], one[0]))[:_LISTED]
        others = self.suffixes.total() - sum(count for _, count in counts)
        parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in counts]
        if others:
            parts.append(f"{others} of other kinds")
        if self.hidden:
            parts.append(f"{self.hidden} hidden")
        if self.folders:
            parts.append(_counted(self.folders, "sub-folder"))
        if self.links:
            more = ", ..." if len(self.links) > _LISTED else ""
            names = ", ".join(map(os.fspath, sorted(self.links)[:_LISTED])) + more
            parts.append(f"{_counted(len(self.links), 'linked folder')} ({names})")
        return escaped(", ".join(parts))


def find_images(
    source: str | os.PathLike[str],
    *,
    recursive: bool = False,
    notify: Callable[[str], None] | None = None,
) -> list[Path]:
    """Image files of a folder, sorted by name; or the one file that was named.

    Files are taken by suffix (`SUFFIXES`, any case); hidden ones (a leading dot) and those of linked folders
    are left out.

    Args:
        source: A folder or a file; a file is taken whatever its suffix.
        recursive: Whether to look into sub-folders.
        notify: Called with a sentence that counts what is left out, where anything is.

    Returns:
        Paths, at least one.

    Raises:
        UsageError: The path does not exist or cannot be read, or the folder holds no image: a `NoImagesError`
            where it has sub-folders that were not looked into.
    """
    root = Path(source)
    if not root.is_dir():
        if root.exists() or root.is_symlink():
            return [root]
        raise UsageError(f"The image source must be a file or a folder that exists. Received: {root}")

    def refuse(error: OSError) -> None:
        raise UsageError(f"The folder must be readable. Received: {error.filename} ({error.strerror})")

    found: list[Path] = []
    left_out = LeftOut()
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        visible = sorted(name for name in subfolders if not name.startswith("."))
        links = [name for name in visible if Path(folder, name).is_symlink()] if recursive else []
        subfolders[:] = [name for name in visible if name not in links] if recursive else []
        left_out.links += [Path(folder, name).relative_to(root).as_posix() for name in links]
        left_out.folders += 0 if recursive else len(visible)
        found += [Path(folder, name) for name in sorted(names) if left_out.takes(name)]
    text = str(left_out)
    if not found:
        raise (NoImagesError if left_out.folders else UsageError)(
            f"The folder must hold an image file ({', '.join(s[1:] for s in SUFFIXES)})."
            f" Received: {root}, with none{f' (left out: {text})' if text else ''}."
        )
    if text and notify:
        notify(f"left out of {root}: {text}")
    return found


def match_images(
    image_ids: Iterable[str],
    folder: str | os.PathLike[str],
    *,
    recursive: bool = False,
    notify: Callable[[str], None] | None = None,
) -> dict[str, Path | None]:
    """The file of each image_id in a folder.

    Args:
        image_ids: As of `image_id`.
        folder: A folder, or one image file.
        recursive: Whether to look into sub-folders.
        notify: As for `find_images`; also names files of the same image_id, of which one is taken.

    Returns:
        image_id -> path, None where the folder has no such image; the first by `SUFFIXES` where several
        files share the image_id.

    Raises:
        UsageError: As `find_images`.
    """
    by_id: dict[str, list[Path]] = {}
    for path in find_images(folder, recursive=recursive, notify=notify):
        by_id.setdefault(image_id(path), []).append(path)
    matched: dict[str, Path | None] = {}
    shared: list[str] = []
    for name in dict.fromkeys(image_ids):
        files = sorted(by_id.get(name, ()), key=_suffix_rank)
        matched[name] = files[0] if files else None
        if len(files) > 1:
            shared.append(f"{files[0]}, not {', '.join(map(str, files[1:]))}")
    if shared and notify:
        more = "; ..." if len(shared) > _LISTED else ""
        notify(
            f"{_counted(len(shared), 'image_id')} that several files share; taken: "
            + "; ".join(shared[:_LISTED])
            + more
        )
    return matched


def _suffix_rank(path: Path) -> int:
    suffix = path.suffix.lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

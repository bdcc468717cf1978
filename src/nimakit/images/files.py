"""Find the image files in a folder, and the file for an image_id or a name from a table."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from nimakit.errors import NoImagesError, UsageError
from nimakit.images.formats import RAW_SUFFIXES, SUFFIXES
from nimakit.io.atomic import escaped

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and surrogates, which cannot be displayed; every kind of space, joiner and emoji can."""

_LISTED = 5
_TYPES = "|".join(map(re.escape, SUFFIXES))
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|//|/data/(local-files|upload)/", re.IGNORECASE)
_WITH_QUERY = re.compile(rf"({_TYPES})[?#]", re.IGNORECASE)
_PARAMETERS = re.compile(rf"({_TYPES});[^/]*$", re.IGNORECASE)
UPLOAD = re.compile(r"(/data/upload/(?:[^/?#]+/)*[0-9a-f]{8})-(?=[^/?#])")
"""Path of an upload to Label Studio, which puts eight digits before the file name."""
WHOLE_NUMBER = re.compile(r"([0-9]+)(\.0)?")
"""A number that names an image, or its form in a spreadsheet or in a pandas column with gaps."""
_ID_DIGITS = 4
"""A number with so many digits is an image number, so that 953619.0 is not read as a version."""
_ROUNDED_NUMBER = re.compile(r"[0-9](\.[0-9]+)?[eE]\+[0-9]+")


def image_id(path: str | os.PathLike[str]) -> str:
    r"""The file name without its last suffix, as `canonical` text.

    >>> image_id("shoot/a.b.jpg"), image_id(r"C:\photos\a.b.jpg")
    ('a.b', 'a.b')
    """
    return canonical(Path(Path(path).name.rpartition("\\")[2]).stem)


def canonical(name: str) -> str:
    r"""Normalise a name for comparison.

    Macs write an umlaut as two characters (NFD), other systems as one (NFC), which is used. A byte that is
    not UTF-8 is written as ``%E9``.

    >>> canonical("Zu\u0308rich") == "Z\u00fcrich"
    True
    """
    return unicodedata.normalize("NFC", escaped(name))


def plain_id(text: str) -> str:
    r"""The image_id for a file name, a path or a URL in a table, with or without suffix.

    953619.0 is 953619, because spreadsheets write numbers so; a shorter 1.0 is a name.

    Raises:
        ValueError: It cannot be a file.

    >>> plain_id("shoot/a.b.JPG"), plain_id("a.b"), plain_id("953619.0"), plain_id("1.0")
    ('a.b', 'a.b', '953619', '1.0')
    >>> plain_id("https://example.org/my%20lake.jpg?w=800"), plain_id(r"C:\photos\lake.jpg")
    ('my lake', 'lake')
    """
    name = path_parts(text)[-1]
    number = WHOLE_NUMBER.fullmatch(name)
    return number[1] if number and len(number[1]) >= _ID_DIGITS else without_suffix(name)


def without_suffix(name: str) -> str:
    """A file name in a table without its suffix, if that is the suffix of an image."""
    return image_id(name) if name.lower().endswith(SUFFIXES) else name


def path_parts(text: str) -> tuple[str, ...]:
    r"""Split a file name, a path or a URL in a table into folders and file name.

    Only for a URL or a path of Label Studio, the query is removed and %20 is read as a space, because a file
    may be called ``100%20.jpg`` or ``what?.jpg``.

    Returns:
        `canonical` text, the file name last. The host of a URL counts as a folder, and so does the prefix
        that Label Studio adds to the name of an uploaded file.

    Raises:
        ValueError: It cannot be a file.

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
class Skipped:
    """Counts of what a scan of a folder skips.

    Attributes:
        suffixes: Lower-case suffix of other files, empty for none -> number of files.
        raw: Number of camera RAW files next to another picture of the same name, such as the camera's JPEG.
        hidden: Number of image files with a leading dot.
        folders: Number of sub-folders that were not searched.
        links: Linked folders, which are never entered because they may form cycles.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    raw: int = 0
    hidden: int = 0
    folders: int = 0
    links: list[str] = field(default_factory=list)

    def take(self, names: Iterable[str]) -> list[str]:
        """The images among the files of a folder, by suffix; the others are counted.

        A camera RAW file next to another picture of the same name shows the same, and is left out.

        Args:
            names: File names; among hidden files only images count.
        """
        images = [name for name in names if self._is_image(name)]
        developed = {image_id(name) for name in images if not name.lower().endswith(RAW_SUFFIXES)}
        taken = [
            name
            for name in images
            if not (name.lower().endswith(RAW_SUFFIXES) and image_id(name) in developed)
        ]
        self.raw += len(images) - len(taken)
        return taken

    def _is_image(self, name: str) -> bool:
        is_image = name.lower().endswith(SUFFIXES)
        if name.startswith("."):
            self.hidden += is_image
            return False
        if not is_image:
            self.suffixes[Path(name).suffix.lower()] += 1
        return is_image

    def __str__(self) -> str:
        """A list such as ``12 .mov, 1 linked folder (album)``; empty if nothing was skipped."""
        counts = sorted(self.suffixes.items(), key=lambda item: (-item[1], not item[0], item[0]))[:_LISTED]
        others = self.suffixes.total() - sum(count for _, count in counts)
        parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in counts]
        if others:
            parts.append(f"{others} of other kinds")
        if self.raw:
            parts.append(f"{self.raw} RAW next to a picture of the same name")
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
    """Find the image files in a folder, sorted by name; a file stands for itself.

    Images are recognised by suffix (`nimakit.images.formats.SUFFIXES`, any case). Hidden files (a leading
    dot), linked folders, and camera RAW files next to another picture of the same name are skipped.

    Args:
        source: A folder, or a file of any suffix.
        recursive: Whether to search sub-folders.
        notify: Called with a sentence that counts what was skipped, if anything was.

    Returns:
        Paths, at least one.

    Raises:
        UsageError: The path does not exist or cannot be read, or the folder contains no image; a
            `NoImagesError` if it has sub-folders that were not searched.
    """
    root = Path(source)
    if not root.is_dir():
        if root.exists() or root.is_symlink():
            return [root]
        raise UsageError(f"The image source must be a file or a folder that exists. Received: {root}")

    def refuse(error: OSError) -> None:
        raise UsageError(f"The folder must be readable. Received: {error.filename} ({error.strerror})")

    found: list[Path] = []
    skipped = Skipped()
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        visible = sorted(name for name in subfolders if not name.startswith("."))
        links = [name for name in visible if Path(folder, name).is_symlink()] if recursive else []
        subfolders[:] = [name for name in visible if name not in links] if recursive else []
        skipped.links += [Path(folder, name).relative_to(root).as_posix() for name in links]
        skipped.folders += 0 if recursive else len(visible)
        found += [Path(folder, name) for name in skipped.take(sorted(names))]
    text = str(skipped)
    if not found:
        raise (NoImagesError if skipped.folders else UsageError)(
            f"The folder must contain an image file ({_kinds()})."
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
    """Find the file of each image_id in a folder.

    Args:
        image_ids: As returned by `image_id`.
        folder: A folder, or one image file.
        recursive: Whether to search sub-folders.
        notify: As for `find_images`; also called about files that share an image_id.

    Returns:
        image_id -> path, None if the folder has no such image; if several files share the image_id, the first
        by the order of `SUFFIXES`.

    Raises:
        UsageError: As for `find_images`.
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


def _kinds() -> str:
    """The suffixes of images, in short: there are dozens of cameras."""
    others = [suffix[1:] for suffix in SUFFIXES if suffix not in RAW_SUFFIXES]
    return f"{', '.join(others)}, or camera RAW such as {', '.join(s[1:] for s in RAW_SUFFIXES[:_LISTED])}"


def _suffix_rank(path: Path) -> int:
    suffix = path.suffix.lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

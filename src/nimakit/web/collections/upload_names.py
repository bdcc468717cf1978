"""Names of uploaded files: normalised, and never outside the collection's folder."""

import re

from nimakit.errors import UsageError
from nimakit.images.files import CONTROLS, canonical
from nimakit.images.formats import KINDS, SHARED_FORMATS

PICTURES = tuple(suffix for name in SHARED_FORMATS for suffix in KINDS[name].suffixes)
"""Suffixes of pictures that can be uploaded."""

ZIP = ".zip"

_DRIVE = re.compile(r"[A-Za-z]:")
_MOST_FOLDERS = 10
_LONGEST_PART, _LONGEST_PATH = 200, 1000
"""Bytes in UTF-8; file systems allow 255 and 4096."""


def safe_path(name: str, suffixes: tuple[str, ...] = PICTURES) -> str:
    r"""The path of an uploaded file below its folder, with forward slashes.

    Args:
        name: As a browser or a zip file gives it, such as ``holiday/lake.jpg``.
        suffixes: Of the files to accept, in lower case.

    Raises:
        UsageError: The path would be outside, is too long, hidden, or no picture's; a reason after the name.

    >>> safe_path("shoot\\Zu\u0308rich .JPG"), safe_path("./a//b.jpg")
    ('shoot/Zürich .JPG', 'a/b.jpg')
    >>> safe_path("../a.jpg")
    Traceback (most recent call last):
    nimakit.errors.UsageError: its path leads out of the folder
    """
    parts = [canonical(CONTROLS.sub("", part)).strip() for part in re.split(r"[\\/]", name)]
    if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts:
        raise UsageError("its path leads out of the folder")
    parts = [part for part in parts if part not in ("", ".")]
    if not parts or any(part.startswith(".") for part in parts) or "__MACOSX" in parts:
        raise UsageError("it is a hidden file")
    sizes = [len(part.encode()) for part in parts]
    if len(parts) > _MOST_FOLDERS + 1 or max(sizes) > _LONGEST_PART or sum(sizes) > _LONGEST_PATH:
        raise UsageError(
            f"its path must have at most {_MOST_FOLDERS} folders, and names of at most {_LONGEST_PART} bytes"
        )
    if not parts[-1].lower().endswith(suffixes):
        raise UsageError("it is not a picture of a supported format, by its name")
    return "/".join(parts)

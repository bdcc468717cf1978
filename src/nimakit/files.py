"""Image files of a folder: which there are, and which belongs to an image_id."""

import os
from collections.abc import Iterable
from pathlib import Path

from nimakit.errors import UsageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tiff", ".tif", ".gif")


def image_id(path: str | os.PathLike[str]) -> str:
    """The file name without its last suffix.

    >>> image_id("shoot/a.b.jpg")
    'a.b'
    """
    return Path(path).stem


def find_images(source: str | os.PathLike[str], *, recursive: bool = False) -> list[Path]:
    """Image files of a folder, sorted by name; or the one file that was named.

    Files are taken by suffix (`SUFFIXES`, any case); hidden ones (a leading dot) are left out.

    Args:
        source: A folder or a file; a file is taken whatever its suffix.
        recursive: Whether to look into sub-folders.

    Returns:
        Paths, at least one.

    Raises:
        UsageError: The path does not exist or cannot be read, or the folder holds no image.
    """
    root = Path(source)
    if not root.is_dir():
        if root.exists() or root.is_symlink():
            return [root]
        raise UsageError(f"The image source must be a file or a folder that exists. Received: {root}")

    def refuse(error: OSError) -> None:
        raise UsageError(f"The folder must be readable. Received: {error.filename} ({error.strerror})")

    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = sorted(name for name in subfolders if recursive and not name.startswith("."))
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    if not found:
        remedy = "" if recursive else " Add --recursive to look into its sub-folders."
        raise UsageError(
            f"The folder must hold an image file ({', '.join(s[1:] for s in SUFFIXES)})."
            f" Received: {root}, with none.{remedy}"
        )
    return found


def match_images(
    image_ids: Iterable[str], folder: str | os.PathLike[str], *, recursive: bool = False
) -> dict[str, Path | None]:
    """The file of each image_id in a folder.

    Args:
        image_ids: File names without their last suffix.
        folder: A folder, or one image file.
        recursive: Whether to look into sub-folders.

    Returns:
        image_id -> path, None where the folder has no such image; the first by `SUFFIXES` where several
        files share the image_id.

    Raises:
        UsageError: As `find_images`.
    """
    by_id: dict[str, Path] = {}
    for path in find_images(folder, recursive=recursive):
        known = by_id.get(image_id(path))
        if known is None or _suffix_rank(path) < _suffix_rank(known):
            by_id[image_id(path)] = path
    return {name: by_id.get(name) for name in image_ids}


def _suffix_rank(path: Path) -> int:
    suffix = path.suffix.lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)

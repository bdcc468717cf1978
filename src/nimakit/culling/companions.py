"""Companions of a picture: the files next to it that belong to it, such as its RAW file and sidecars."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from nimakit.images.formats import SUFFIXES

_IMAGE = "|".join(re.escape(suffix) for suffix in SUFFIXES)
_REST = re.compile(rf"(?:_\d\d)?(?:{_IMAGE})\.[^.]+|\.[^.]+", re.IGNORECASE)
"""What follows the name without its suffix: ``.CR2``, ``.xmp``, ``.CR2.xmp``, or ``_01.CR2.xmp``, which is
darktable's sidecar of another version of the same RAW file."""


class Companions:
    """Finds the companions of pictures; each folder is listed once.

    A companion has the picture's name and another suffix (``IMG_1.CR2``, ``IMG_1.xmp``, ``IMG_1.WAV``), or
    the name of one of these files followed by the suffix of a sidecar (``IMG_1.CR2.xmp``).

    Args:
        pictures: All pictures that are judged on their own, which are nobody's companions.
    """

    def __init__(self, pictures: Iterable[Path]) -> None:
        self._pictures = frozenset(pictures)
        self._names: dict[Path, list[str]] = {}

    def of(self, picture: Path) -> tuple[Path, ...]:
        """The companions of a picture, sorted; without the picture.

        Raises:
            OSError: Its folder cannot be read.
        """
        stem = picture.stem
        found = [
            picture.with_name(name)
            for name in self._listed(picture.parent)
            if name.startswith(stem) and self._belongs(name, name[len(stem) :], picture)
        ]
        return tuple(path for path in found if path != picture and path not in self._pictures)

    def _listed(self, folder: Path) -> Sequence[str]:
        if folder not in self._names:
            with os.scandir(folder) as entries:
                self._names[folder] = sorted(entry.name for entry in entries if entry.is_file())
        return self._names[folder]

    def _belongs(self, name: str, rest: str, picture: Path) -> bool:
        """Whether a file belongs to a picture, by what follows the picture's name without suffix."""
        if not _REST.fullmatch(rest):
            return False
        if not rest.startswith("_"):
            # IMG_1.PNG.xmp is the sidecar of another picture, IMG_1.PNG.
            owner = picture.with_name(name.rpartition(".")[0])
            return owner == picture or owner not in self._pictures
        # IMG_1_01.CR2.xmp is the sidecar of IMG_1_01.CR2 where there is such a file.
        return name.rpartition(".")[0] not in self._listed(picture.parent)

"""The files of a picture: its RAW, and its sidecars where each program has them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nimakit.images.files import image_id
from nimakit.images.formats import RAW_SUFFIXES

Style = Literal["darktable", "lightroom"]
"""Where ratings go. darktable (also digiKam): a sidecar IMG.CR2.xmp or IMG.JPG.xmp for every file.
lightroom (also Capture One): a sidecar IMG.xmp for camera RAW, and inside other files."""

_SIDECAR_SUFFIXES = (".xmp", ".XMP")
_DNG = ".dng"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A picture with its other files.

    Attributes:
        picture: The file that was scored, such as a JPEG.
        raw: Camera RAW files of the same name in its folder.
        sidecars: Existing sidecars, those that count most first: IMG.CR2.xmp, IMG.JPG.xmp, IMG.xmp.
    """

    picture: Path
    raw: tuple[Path, ...]
    sidecars: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The RAW files, then the picture."""
        return (*self.raw, self.picture)

    def target(self, file: Path, style: Style) -> Path:
        """The file in which a style keeps the rating of one of the `files`: a sidecar, or the file itself."""
        if style == "darktable":
            name = file.name
        elif is_raw(file) and file.suffix.lower() != _DNG:
            name = file.stem
        else:
            return file
        known = (path for path in self.sidecars if path.stem == name)
        return next(known, file.with_name(name + _SIDECAR_SUFFIXES[0]))


class Folders:
    """Finds the files of pictures; the names in each folder are read once."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}
        self._raw: dict[Path, dict[str, list[str]]] = {}

    def shot(self, picture: Path) -> Shot:
        """The files of a picture.

        Raises:
            OSError: Its folder cannot be read.
        """
        folder = picture.parent
        if folder not in self._names:
            self._read(folder)
        raw = [name for name in self._raw[folder].get(image_id(picture), ()) if name != picture.name]
        stems = dict.fromkeys([*raw, picture.name, *(Path(name).stem for name in (*raw, picture.name))])
        wanted = [stem + suffix for stem in stems for suffix in _SIDECAR_SUFFIXES]
        return Shot(
            picture=picture,
            raw=tuple(folder / name for name in raw),
            sidecars=tuple(folder / name for name in wanted if name in self._names[folder]),
        )

    def sidecars(self) -> set[Path]:
        """All sidecars in the folders read so far."""
        return {
            folder / name
            for folder, names in self._names.items()
            for name in names
            if name.endswith(_SIDECAR_SUFFIXES)
        }

    def _read(self, folder: Path) -> None:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries if entry.is_file()}
        raw: dict[str, list[str]] = {}
        for name in sorted(names):
            if is_raw(Path(name)) and not name.startswith("."):
                raw.setdefault(image_id(name), []).append(name)
        self._names[folder], self._raw[folder] = names, raw


def is_raw(path: Path) -> bool:
    """Whether a file is camera RAW by its suffix, including DNG."""
    return path.suffix.lower() in RAW_SUFFIXES

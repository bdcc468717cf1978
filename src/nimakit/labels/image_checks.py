"""Checks of the images of label files: missing, unreadable, blank, or in several files."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from nimakit.errors import ImageError
from nimakit.images.duplicates import SIMILARITY, Group, find_duplicates, is_blank
from nimakit.images.files import find_images, image_id, match_images
from nimakit.images.fingerprints import FINGERPRINT, fingerprint_files
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.atomic import escaped
from nimakit.models.pretrained import Notify

SameAs = Literal["same image", "identical", "near"]
Picture: TypeAlias = Path | str
"""A file, or the place of one that is not on this machine."""
Place: TypeAlias = Picture | tuple[Picture | None, str]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was found of a picture that is not on this machine, while it was there.

    Attributes:
        fingerprint: Its `FINGERPRINT`, or the error that prevented it.
        digest: SHA-256 of its content, in hexadecimal.
    """

    fingerprint: np.void | ImageError
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The images of a label file, or of a folder or another source.

    Attributes:
        file: The label file, or the folder.
        image_ids: N names.
        folder: Where they were looked for; None if they were not.
        paths: N pictures; None for an image that is missing or was not looked for.
        ambiguous: Each image_id that matches several files -> these files; the first is used.
        fetched: What was found of pictures that are not on this machine.
    """

    file: str
    image_ids: Sequence[str]
    folder: Picture | None
    paths: Sequence[Picture | None]
    ambiguous: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    fetched: Mapping[str, Fetched] = field(default_factory=dict)


def labelled(
    file: str,
    image_ids: Sequence[str],
    folder: Path | None,
    *,
    recursive: bool,
    notify: Notify | None = None,
) -> ImageSet:
    """Find the images of a label file.

    Args:
        file: The label file.
        image_ids: N names.
        folder: Where the images are; None not to look for them.
        recursive: Whether to look into sub-folders.
        notify: As for `nimakit.images.files.find_images`.

    Raises:
        UsageError: The folder contains no image, or cannot be read.
    """
    if folder is None:
        return ImageSet(file, image_ids, None, [None] * len(image_ids))
    sharing = defaultdict(list)
    for path in find_images(folder, recursive=recursive, notify=notify):
        sharing[image_id(path)].append(path)
    return ImageSet(
        file,
        image_ids,
        folder,
        list(match_images(image_ids, folder, recursive=recursive).values()),
        {name: sharing[name] for name in image_ids if len(sharing.get(name, ())) > 1},
    )


def unlabelled(folder: Path, *, recursive: bool, notify: Notify | None = None) -> ImageSet:
    """Find all images of a folder; their image_ids are their paths below it.

    Raises:
        UsageError: The folder contains no image, or cannot be read.
    """
    paths = find_images(folder, recursive=recursive, notify=notify)
    return ImageSet(
        str(folder), [escaped(path.relative_to(folder).as_posix()) for path in paths], folder, paths
    )


@dataclass(frozen=True)
class Entry:
    """An image of a label file."""

    file: str
    image_id: str

    def __str__(self) -> str:
        return f"{self.image_id!r} in {self.file}"


@dataclass(frozen=True)
class Ambiguous(Entry):
    """An image whose image_id matches several files."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Unreadable(Entry):
    """An image that cannot be decoded, and the reason."""

    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SamePicture:
    """Images that show the same picture.

    Attributes:
        kind: One file in several sets, identical files, or pictures that look alike.
        similarity: Up to 1, as in `nimakit.images.duplicates.Group`.
        mirrored: Whether some are mirror images of others.
        images: At least two.
    """

    kind: SameAs
    similarity: float
    mirrored: bool
    images: tuple[Entry, ...]

    @property
    def is_leak(self) -> bool:
        """Whether they are in several files."""
        return len({image.file for image in self.images}) > 1

    def __str__(self) -> str:
        how = self.kind if self.kind != "near" else f"similarity {self.similarity:.2f}"
        how += ", mirrored" if self.mirrored else ""
        return " = ".join(map(str, self.images)) + f" ({how})"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageCheck:
    """The problems found.

    Attributes:
        leaks: The same picture in several label files.
        duplicates: The same picture several times in one label file.
        missing: Images without a file.
        ambiguous: Images that match several files.
        unreadable: Images that cannot be decoded.
        blank: Images of a single colour.
        drop: Label file -> images to drop to solve all problems but the ambiguous ones. Of the same picture
            the one in the last label file is kept, so that a test file named last stays unchanged.
    """

    leaks: tuple[SamePicture, ...]
    duplicates: tuple[SamePicture, ...]
    missing: tuple[Entry, ...]
    ambiguous: tuple[Ambiguous, ...]
    unreadable: tuple[Unreadable, ...]
    blank: tuple[Entry, ...]
    drop: dict[str, list[str]]

    @property
    def problems(self) -> int:
        """How many problems there are."""
        found = (self.leaks, self.duplicates, self.missing, self.ambiguous, self.unreadable, self.blank)
        return sum(map(len, found))


def check_images(
    sets: Sequence[ImageSet], *, similarity: float = SIMILARITY, max_pixels: int = MAX_PIXELS
) -> ImageCheck:
    """Check every image of every set, decoding each file once.

    Args:
        sets: In this order, such as those of a train and a test file.
        similarity: As for `nimakit.images.duplicates.find_duplicates`.
        max_pixels: As for `nimakit.images.photo.open_photo`.
    """
    located = _locate(sets)
    fetched = {place: one for some in sets for place, one in some.fetched.items()}
    found = _fingerprints(located, fetched, max_pixels)
    errors = {path: str(result) for path, result in found.items() if isinstance(result, ImageError)}
    readable = [path for path in found if path not in errors]
    table = np.array([found[path] for path in readable], FINGERPRINT)
    files = [fetched[path].digest if isinstance(path, str) else path for path in readable]
    groups = find_duplicates(files, table, similarity=similarity)
    same = _same_pictures(groups, readable, located)
    missing = [
        Entry(one.file, name)
        for one in sets
        for name, path in zip(one.image_ids, one.paths, strict=True)
        if one.folder is not None and path is None
    ]
    unreadable = [
        Unreadable(entry.file, entry.image_id, error)
        for path, error in errors.items()
        for entry in located[path]
    ]
    blank = [entry for place in np.flatnonzero(is_blank(table)) for entry in located[readable[place]]]
    return ImageCheck(
        leaks=tuple(one for one in same if one.is_leak),
        duplicates=tuple(one for one in same if not one.is_leak),
        missing=tuple(missing),
        ambiguous=tuple(
            Ambiguous(one.file, name, tuple(escaped(str(file)) for file in files))
            for one in sets
            for name, files in one.ambiguous.items()
        ),
        unreadable=tuple(unreadable),
        blank=tuple(blank),
        drop=_to_drop(sets, same, [*missing, *unreadable, *blank]),
    )


def _locate(sets: Sequence[ImageSet]) -> dict[Place, list[Entry]]:
    """The entries by image file; those without a file by folder and image_id."""
    located: dict[Place, list[Entry]] = defaultdict(list)
    for one in sets:
        for name, path in zip(one.image_ids, one.paths, strict=True):
            located[path or (one.folder, name)].append(Entry(one.file, name))
    return located


def _fingerprints(
    located: Iterable[Place], fetched: Mapping[str, Fetched], max_pixels: int
) -> dict[Picture, np.void | ImageError]:
    """The fingerprint of each picture, or the error that prevented it."""
    paths = [place for place in located if isinstance(place, Path)]
    return {
        **dict(zip(paths, fingerprint_files(paths, max_pixels=max_pixels), strict=True)),
        **{place: fetched[place].fingerprint for place in located if isinstance(place, str)},
    }


def _same_pictures(
    groups: Sequence[Group], paths: Sequence[Picture], located: Mapping[Place, list[Entry]]
) -> list[SamePicture]:
    """Groups of entries that show the same picture: one file, or files that look alike."""
    alike = {paths[member] for group in groups for member in group.members}
    same = [
        SamePicture(kind="same image", similarity=1.0, mirrored=False, images=tuple(entries))
        for place, entries in located.items()
        if len(entries) > 1 and place not in alike
    ]
    for group in groups:
        images = tuple(entry for member in group.members for entry in located[paths[member]])
        kind: SameAs = "identical" if group.identical else "near"
        same.append(
            SamePicture(kind=kind, similarity=group.similarity, mirrored=group.mirrored, images=images)
        )
    return same


def _to_drop(
    sets: Sequence[ImageSet], same: Iterable[SamePicture], unusable: Iterable[Entry]
) -> dict[str, list[str]]:
    """The images to drop from each label file: unusable ones, and all but one of the same picture."""
    rank = {one.file: number for number, one in enumerate(sets)}
    drop = {(entry.file, entry.image_id) for entry in unusable}
    for group in same:
        left = [(image.file, image.image_id) for image in group.images]
        left = [key for key in left if key not in drop]
        kept = max(left, key=lambda key: rank[key[0]], default=None)
        drop.update(key for key in left if key != kept)
    return {one.file: [name for name in one.image_ids if (one.file, name) in drop] for one in sets}

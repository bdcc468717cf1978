"""Open an image source: a folder, a photo, a pattern, a manifest or tar files, here or in a store."""

import glob
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from nimakit.errors import UsageError
from nimakit.images.files import find_images, image_id
from nimakit.images.formats import SUFFIXES as IMAGE_SUFFIXES
from nimakit.io.atomic import escaped
from nimakit.sources import manifest, tar
from nimakit.sources.places import info, is_stored, is_web, reason, store_of, url_of
from nimakit.sources.reading import Entry

Notify = Callable[[str], None]


class Source(Protocol):
    """Photographs to work on; each iteration starts at the first."""

    def __iter__(self) -> Iterator[Entry]:
        """The photographs, in order."""
        ...

    def count(self) -> int | None:
        """About how many there are; None if only reading all of them would tell."""
        ...


class _Files:
    """Photographs whose entries are all known."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def count(self) -> int:
        return len(self._entries)


def is_listed(text: str) -> bool:
    """Whether a source is something other than a folder or a photo of this machine.

    >>> is_listed("photos"), is_listed("shard-{000..099}.tar"), is_listed("s3://bucket/photos.csv")
    (False, True, True)
    """
    if Path(text).is_dir():
        return False
    return is_stored(text) or text.lower().endswith((*manifest.SUFFIXES, *tar.SUFFIXES)) or _is_pattern(text)


def open_source(
    text: str,
    *,
    image_column: str = "image",
    id_column: str | None = None,
    recursive: bool = False,
    notify: Notify,
) -> Source:
    """Open a source.

    Args:
        text: Path, pattern or URL of a folder, a photo, a manifest (`nimakit.sources.manifest.SUFFIXES`) or
            tar files (`nimakit.sources.tar.SUFFIXES`). A pattern has ``*``, ``?``, ``[...]``, ``**`` for any
            folders, or ``{000..099}``.
        image_column: As for `nimakit.sources.manifest.Manifest`.
        id_column: As for `nimakit.sources.manifest.Manifest`.
        recursive: Whether to look into sub-folders of a folder.
        notify: Called with sentences about what is left out.

    Raises:
        UsageError: There is nothing, or it cannot be read.
        MissingExtraError: A package for it is not installed.
    """
    if is_web(text):
        raise UsageError(f"A web address must be a row of a manifest. Received: {text}")
    suffixed = text.lower()
    if suffixed.endswith(manifest.SUFFIXES):
        return manifest.Manifest(text, image_column=image_column, id_column=id_column, notify=notify)
    if suffixed.endswith(tar.SUFFIXES):
        return tar.Tars([place for name in tar.expand(text) for place in _matching(name)], notify)
    if is_listed(text) and _is_pattern(text):
        places = [place for name in tar.expand(text) for place in _matching(name)]
        images = [place for place in places if place.lower().endswith(IMAGE_SUFFIXES)]
        if not images:
            raise UsageError(f"The pattern must match an image. Received: {text}")
        return _Files([Entry(image_id=escaped(place), place=place) for place in images])
    if is_stored(text):
        return _stored_folder(text, recursive=recursive)
    paths = find_images(text, recursive=recursive, notify=notify)
    root = Path(text)
    return _Files(_entries([str(path) for path in paths], str(root) if root.is_dir() else str(root.parent)))


def _is_pattern(text: str) -> bool:
    return (glob.has_magic(text) or tar.expand(text) != [text]) and not Path(text).exists()


def _matching(text: str) -> list[str]:
    """The files that a pattern matches; what is no pattern is itself."""
    if not glob.has_magic(text):
        return [text]
    if not is_stored(text):
        return sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - a pattern may begin anywhere
    store, path = store_of(text)
    try:
        return sorted(url_of(text, found) for found in store.glob(path))
    except Exception as error:
        raise UsageError(f"The store must list the pattern. Received: {text} ({reason(error)})") from error


def _stored_folder(text: str, *, recursive: bool) -> Source:
    known = info(text, "image source")
    if known is None:
        raise UsageError(f"The image source must be a file or a folder that exists. Received: {text}")
    if known["type"] == "file":
        return _Files([Entry(image_id=image_id(text), place=text)])
    store, path = store_of(text)
    try:
        found = store.find(path, maxdepth=None if recursive else 1)
    except Exception as error:
        raise UsageError(f"The store must list the folder. Received: {text} ({reason(error)})") from error
    images = sorted(url_of(text, name) for name in found if name.lower().endswith(IMAGE_SUFFIXES))
    if not images:
        raise UsageError(f"The folder must contain an image file. Received: {text}, with none.")
    return _Files(_entries(images, text.rstrip("/")))


def _entries(places: list[str], folder: str) -> list[Entry]:
    """Photographs of a folder, named by their file names, and where these repeat by their paths in it too."""
    names = [image_id(place) for place in places]
    repeated = max(Counter(names).values()) > 1
    return [
        Entry(
            image_id=name, place=place, image=escaped(place.removeprefix(f"{folder}/")) if repeated else None
        )
        for name, place in zip(names, places, strict=True)
    ]

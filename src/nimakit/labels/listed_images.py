"""Images to check in manifests, tar files and stores: compared as they are read, without keeping them."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from nimakit.errors import ImageError
from nimakit.images.files import canonical, image_id
from nimakit.images.fingerprints import attempt
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.threads import in_threads
from nimakit.labels.image_checks import Fetched, ImageSet, Picture
from nimakit.progress import say, track
from nimakit.sources import Content, Entry, Reader, Source


@dataclass(frozen=True, slots=True)
class ListedImages:
    """The images of a source.

    Attributes:
        name: The source, as given.
        pictures: Canonical name of each image -> its files, of which there should be one.
        fetched: What was found of those that are not on this machine.
    """

    name: str
    pictures: Mapping[str, Sequence[Picture]]
    fetched: Mapping[str, Fetched]

    def labelled(self, file: str, image_ids: Sequence[str]) -> ImageSet:
        """The images of a label file."""
        found = [self.pictures.get(canonical(name), ()) for name in image_ids]
        return ImageSet(
            file=file,
            image_ids=image_ids,
            folder=self.name,
            paths=[pictures[0] if pictures else None for pictures in found],
            ambiguous={name: files for name, files in zip(image_ids, found, strict=True) if len(files) > 1},
            fetched=self.fetched,
        )

    def unlabelled(self) -> ImageSet:
        """All images."""
        return self.labelled(self.name, [*self.pictures])


def read_listed(
    name: str, source: Source, wanted: Collection[str] | None = None, *, max_pixels: int = MAX_PIXELS
) -> ListedImages:
    """Read the images of a source, several at once.

    Args:
        name: The source, as given.
        source: The images.
        wanted: Canonical names to look for: the id of a row, or else the name of its file without the suffix;
            None for all rows, by their ids.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Raises:
        UsageError: The source cannot be read.
    """
    pictures: dict[str, list[Picture]] = defaultdict(list)
    met: set[str] = set()

    def new() -> Iterator[Entry]:
        """Those that are wanted, each file once."""
        for entry in source:
            key = _name(entry, wanted)
            if key is None:
                if isinstance(entry.content, ImageError):  # a tar that breaks off
                    say(f"{entry.place}: {entry.content}")
                continue
            is_here = entry.content is None and "://" not in entry.place
            pictures[key].append(Path(entry.place) if is_here else entry.place)
            if not is_here and entry.place not in met:
                met.add(entry.place)
                yield entry

    def compare(read: tuple[Entry, Content]) -> tuple[str, Fetched]:
        entry, content = read
        if isinstance(content, ImageError):
            return entry.place, Fetched(content)
        image = cast("bytes", content)  # files of this machine are not among them
        digest = hashlib.sha256(image).hexdigest()
        return entry.place, Fetched(attempt(image, max_pixels=max_pixels), digest)

    with closing(Reader()) as reader:
        results = in_threads(compare, reader.read_ahead(new()))
        fetched = dict(track(results, source.count(), "reading"))
    return ListedImages(name, pictures, fetched)


def _name(entry: Entry, wanted: Collection[str] | None) -> str | None:
    """The canonical name of an image; None if it is not wanted."""
    names = [canonical(name) for name in (entry.key, entry.image_id, image_id(entry.place))]
    return names[0] if wanted is None else next((name for name in names if name in wanted), None)

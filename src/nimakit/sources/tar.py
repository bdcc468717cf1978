"""Tar files of photographs, as WebDataset writes them: read from front to back, without unpacking."""

import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from itertools import product

from nimakit.errors import ImageError, first_line
from nimakit.images.formats import SUFFIXES as IMAGE_SUFFIXES
from nimakit.sources.places import opened
from nimakit.sources.reading import MAX_BYTES, Entry

SUFFIXES = (".tar", ".tar.gz", ".tgz")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def expand(pattern: str) -> list[str]:
    """The names that a pattern with number ranges stands for.

    >>> expand("shard-{08..10}.tar")
    ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    parts = _RANGE.split(pattern)
    ranges = [
        [str(number).zfill(len(low)) for number in range(int(low), int(high) + 1)]
        for low, high in zip(parts[1::3], parts[2::3], strict=True)
    ]
    texts = parts[::3]
    return [
        texts[0] + "".join(number + text for number, text in zip(numbers, texts[1:], strict=True))
        for numbers in product(*ranges)
    ]


class Tars:
    """The photographs in tar files, in order; their ids are the tar's path or URL and the name in it.

    Args:
        places: Paths or URLs.
        notify: Called with a sentence about members that are left out.
    """

    def __init__(self, places: Sequence[str], notify: Callable[[str], None]) -> None:
        self._places = places
        self._notify = notify

    def count(self) -> None:
        """Unknown without reading all of them."""

    def __iter__(self) -> Iterator[Entry]:
        """Read the photographs.

        Yields:
            Each with its content; where a tar is damaged, an entry with the error.

        Raises:
            UsageError: A tar cannot be opened.
        """
        others = 0
        for place in self._places:
            with opened(place, "tar") as stream:
                read = 0
                try:
                    with tarfile.open(fileobj=stream, mode="r|*") as tar:
                        for member in tar:
                            if not member.isfile():
                                continue
                            if not member.name.lower().endswith(IMAGE_SUFFIXES):
                                others += 1
                                continue
                            name = f"{place}/{member.name}"
                            yield Entry(image_id=name, place=name, content=_content(tar, member))
                            read += 1
                except (tarfile.TarError, EOFError, OSError) as error:
                    yield Entry(image_id=place, place=place, content=_damaged(read, error))
        if others:
            self._notify(f"left out of the tar files: {others} files that are no images")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | ImageError:
    if member.size > MAX_BYTES:
        return ImageError(f"The image must have at most {MAX_BYTES} bytes.")
    stream = tar.extractfile(member)
    content = stream.read() if stream else b""
    if len(content) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    return content


def _damaged(read: int, error: Exception) -> ImageError:
    return ImageError(
        f"The tar must be complete; it breaks off after {read} image{'' if read == 1 else 's'}"
        f" ({first_line(error)})."
    )

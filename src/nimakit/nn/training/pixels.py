"""Training images: decoded and resized once, kept in memory, then on disk, under a stated bound."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError
from nimakit.images.photo import PixelArray, Preprocessing, open_photo, prepare
from nimakit.nn.training.disk_array import disk_array
from nimakit.progress import track

MEGABYTE = 1_000_000
_AHEAD = 64
"""Images decoded before the first of them is kept."""


class Pixels:
    """N images as a model wants them, (height, width, 3) uint8 each.

    The first ones are kept in memory, the next in a file, and what is past both bounds is decoded whenever it
    is asked for. So the memory needed does not depend on how many images there are.

    Args:
        paths: N files.
        preprocessing: Size, filter and fit.
        scratch: Where the file goes; it is written anew.
        memory_mb: Most megabytes in memory.
        disk_mb: Most megabytes on disk.
        workers: Threads that decode.

    Attributes:
        preprocessing: As given.

    Raises:
        OutputError: The disk has no room for the file.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        scratch: Path,
        *,
        memory_mb: float,
        disk_mb: float,
        workers: int,
    ) -> None:
        self._paths = paths
        self.preprocessing = preprocessing
        self._shape = (preprocessing.height, preprocessing.width, 3)
        row = int(np.prod(self._shape)) / MEGABYTE
        in_memory = min(len(paths), int(memory_mb / row))
        on_disk = min(len(paths) - in_memory, int(disk_mb / row))
        self._memory = np.empty((in_memory, *self._shape), np.uint8)
        self._disk: PixelArray = np.empty((0, *self._shape), np.uint8)
        if on_disk:
            self._disk = disk_array(scratch, np.uint8, (on_disk, *self._shape))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="nimakit-decode")

    def fill(self, label: str) -> dict[int, ImageError]:
        """Decode all images once, and keep as many as there is room for.

        Args:
            label: What is being done, for the progress.

        Returns:
            Index -> error, of those that could not be decoded; they must not be asked for.
        """
        failed = {}
        for index, pixels in enumerate(track(self._decoded(), len(self._paths), label)):
            if isinstance(pixels, ImageError):
                failed[index] = pixels
            elif index < len(self._memory):
                self._memory[index] = pixels
            elif index < len(self._memory) + len(self._disk):
                self._disk[index - len(self._memory)] = pixels
        return failed

    def _decoded(self) -> Iterator[PixelArray | ImageError]:
        """All images in order, a few at a time: what is decoded and not yet kept needs memory too."""
        for start in range(0, len(self._paths), _AHEAD):
            yield from self._pool.map(self._try, range(start, min(start + _AHEAD, len(self._paths))))

    def take(self, indices: Sequence[int]) -> PixelArray:
        """The images of some indices.

        Returns:
            (len(indices), height, width, 3) uint8.

        Raises:
            ImageError: One that was not kept could not be decoded; it is named.
        """
        return np.stack(list(self._pool.map(self._one, indices)))

    def close(self) -> None:
        """Let go of the threads; the file may be deleted then."""
        self._pool.shutdown(cancel_futures=True)

    def _one(self, index: int) -> PixelArray:
        if index < len(self._memory):
            return np.asarray(self._memory[index])
        if index < len(self._memory) + len(self._disk):
            return np.asarray(self._disk[index - len(self._memory)])
        pixels = self._try(index)
        if isinstance(pixels, ImageError):
            raise pixels
        return pixels

    def _try(self, index: int) -> PixelArray | ImageError:
        path = self._paths[index]
        try:
            return prepare(open_photo(path), self.preprocessing)
        except ImageError as error:
            return ImageError(f"{path}: {error}")

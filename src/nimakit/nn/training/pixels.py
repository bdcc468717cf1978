"""A cache of decoded and resized training images, in memory and on disk up to given bounds."""

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
"""Images decoded at a time."""


class PixelCache:
    """N preprocessed images, (height, width, 3) uint8 each.

    The first images are kept in memory, the next in a file, and the rest is decoded on every access. So
    memory does not grow with the number of images.

    Args:
        paths: N files.
        preprocessing: Size, filter, fit and decoding.
        scratch: The file, which is overwritten.
        memory_mb: Maximum megabytes in memory.
        disk_mb: Maximum megabytes on disk.
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

    def decode_all(self, label: str) -> dict[int, ImageError]:
        """Decode all images once and cache as many as fit.

        Args:
            label: Label of the progress.

        Returns:
            Index -> error of the images that could not be decoded, which must not be requested.
        """
        failed = {}
        for index, pixels in enumerate(track(self._decode_in_order(), len(self._paths), label)):
            if isinstance(pixels, ImageError):
                failed[index] = pixels
            elif index < len(self._memory):
                self._memory[index] = pixels
            elif index < len(self._memory) + len(self._disk):
                self._disk[index - len(self._memory)] = pixels
        return failed

    def _decode_in_order(self) -> Iterator[PixelArray | ImageError]:
        """Decode all images in order, a few at a time to bound memory."""
        for start in range(0, len(self._paths), _AHEAD):
            yield from self._pool.map(self._decode, range(start, min(start + _AHEAD, len(self._paths))))

    def take(self, indices: Sequence[int]) -> PixelArray:
        """(len(indices), height, width, 3) uint8 images.

        Raises:
            ImageError: An image that is not cached could not be decoded.
        """
        return np.stack(list(self._pool.map(self._get, indices)))

    def close(self) -> None:
        """Stop the threads; the file may be deleted then."""
        self._pool.shutdown(cancel_futures=True)

    def _get(self, index: int) -> PixelArray:
        if index < len(self._memory):
            return np.asarray(self._memory[index])
        if index < len(self._memory) + len(self._disk):
            return np.asarray(self._disk[index - len(self._memory)])
        pixels = self._decode(index)
        if isinstance(pixels, ImageError):
            raise pixels
        return pixels

    def _decode(self, index: int) -> PixelArray | ImageError:
        path = self._paths[index]
        try:
            return prepare(open_photo(path, preprocessing=self.preprocessing), self.preprocessing)
        except ImageError as error:
            return ImageError(f"{path}: {error}")

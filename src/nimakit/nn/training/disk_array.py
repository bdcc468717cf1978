"""Arrays kept in files, whose room on the disk is taken before anything is written to them."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nimakit.errors import OutputError

_MEGABYTE = 1_000_000


def disk_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of zeros in a file of its own, written anew.

    Mapped as it is, the file would be sparse, and a disk that fills up later would kill the process without a
    word.

    Args:
        path: The file.
        dtype: Of the array.
        shape: Likewise.

    Returns:
        The array, mapped from the file.

    Raises:
        OutputError: There is no room for it; no file is left then.
    """
    size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)  # an empty file cannot be mapped
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)  # macOS cannot be asked for the room
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OutputError(
            f"The disk must have room for {path}: {size / _MEGABYTE:.1f} MB. Received: {error.strerror}; make"
            " room there, and go on with --resume."
        ) from error
    return np.memmap(path, dtype, "r+", shape=shape)

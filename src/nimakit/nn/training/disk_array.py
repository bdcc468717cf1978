"""Memory-mapped arrays whose disk space is allocated in advance."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nimakit.errors import OutputError

_MEGABYTE = 1_000_000


def disk_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a zero-filled array from a new file.

    Args:
        path: The file, which is overwritten.
        dtype: Dtype of the array.
        shape: Shape of the array.

    Raises:
        OutputError: The disk has no room for it; no file is left behind.
    """
    size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)  # an empty file cannot be mapped
    try:
        with path.open("wb") as file:
            # Otherwise the file would be sparse, and a full disk would kill the process by a signal later.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)  # macOS has no posix_fallocate
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OutputError(
            f"{path} needs {size / _MEGABYTE:.1f} MB on its disk. Received: {error.strerror}; free some"
            " space, then continue with --resume."
        ) from error
    return np.memmap(path, dtype, "r+", shape=shape)

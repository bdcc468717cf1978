"""Faults of a machine, for tests of what says them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image

INSTALLED = "/opt/python/site-packages/PIL"
"""What no answer may name."""

FAULTS: dict[str, tuple[Exception, str]] = {
    "memory": (MemoryError(), "not enough memory"),
    "codec memory": (OSError("out of memory error when reading image file"), "not enough memory"),
    "tiff codec memory": (OSError("decoder error -9"), "not enough memory"),
    "files": (OSError(errno.EMFILE, os.strerror(errno.EMFILE), f"{INSTALLED}/a.so"), "Too many open files"),
    "disk": (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
    "own file": (
        PermissionError(errno.EACCES, "Permission denied", f"{INSTALLED}/a.so"),
        "Permission denied",
    ),
    "plugin": (ImportError(f"{INSTALLED}/a.so: cannot open shared object file"), "could not be loaded"),
}
"""What Pillow lets through, and what is to be said of it."""

every_fault = pytest.mark.parametrize("fault", FAULTS)


@contextmanager
def failing(fault: str) -> Iterator[None]:
    """No image can be opened, for that fault."""

    def fail(*_: Any, **__: Any) -> Image.Image:
        raise FAULTS[fault][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "open", fail)
        yield

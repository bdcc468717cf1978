"""Memory allocator settings of a server, so that freed memory returns to the system."""

import ctypes
import gc
import os

from PIL import Image

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MAPPED = 4 << 20
_ARENAS = 4


def configure_allocator() -> None:
    """Set up the C library's allocator; call it before threads start."""
    # By default, glibc raises its mmap threshold when large blocks are freed, and keeps later ones for reuse.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)
        mallopt(_M_ARENA_MAX, _ARENAS)


def configure_child() -> None:
    """Set up the allocators of a child process that decodes images: it keeps no memory of an image."""
    configure_allocator()
    os.environ["PILLOW_BLOCKS_MAX"] = "0"  # `nimakit.images.photo`, not imported yet, would set more


def freeze_loaded() -> None:
    """Exempt loaded code and models from garbage collection, which would spend time on them."""
    release_free()
    gc.freeze()


def release_free() -> None:
    """Return free memory to the system; call it at idle moments because it takes milliseconds."""
    gc.collect()
    blocks = Image.core.get_blocks_max()  # type: ignore[attr-defined]
    Image.core.clear_cache()  # type: ignore[attr-defined]
    Image.core.set_blocks_max(blocks)  # type: ignore[attr-defined]
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

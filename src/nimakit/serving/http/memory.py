"""Memory that was freed goes back to the system, instead of staying with the process that once needed it."""

import ctypes
import gc

from PIL import Image

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MAPPED = 4 << 20
_ARENAS = 4


def keep_little() -> None:
    """Set the C library's allocator up for a server; before its threads start.

    By itself glibc raises the size from which memory is mapped, and so given back when it is freed, as large
    blocks come and go, and keeps the rest in as many arenas as eight times the cores.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)
        mallopt(_M_ARENA_MAX, _ARENAS)


def settle() -> None:
    """Count what is there now, code and models, among what stays: looking for garbage in it takes time."""
    give_back()
    gc.freeze()


def give_back() -> None:
    """Give back what is free; for a moment when nothing is to be done, as it takes milliseconds."""
    gc.collect()
    blocks = Image.core.get_blocks_max()  # type: ignore[attr-defined]
    Image.core.clear_cache()  # type: ignore[attr-defined]
    Image.core.set_blocks_max(blocks)  # type: ignore[attr-defined]
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

"""What the worker asks of the C library's memory allocator, where that is glibc's."""

from __future__ import annotations

import ctypes
from typing import Final

M_ARENA_MAX: Final = -8
"""Of glibc's malloc.h; see mallopt(3)."""

_LIBRARY: Final = ctypes.CDLL(None)


def keep_memory_together() -> None:
    """Let all threads allocate from one arena.

    By default each thread has an arena of its own. What the consumer's thread allocates and the
    event loop frees leaves holes in it, and a worker grows for hours. Python's threads take turns
    anyway. Called once, before there are threads.
    """
    mallopt = getattr(_LIBRARY, "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return what is free to the system. Blocks for milliseconds; called after a retrain."""
    malloc_trim = getattr(_LIBRARY, "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)

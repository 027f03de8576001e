"""Makes the allocator return memory that a worker needs only briefly."""

from __future__ import annotations

import ctypes

# From malloc.h of the GNU C library; see mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE = 2**20
"""Blocks of at least this many bytes return to the system as soon as they are freed."""

_KEPT = 4 * 2**20
"""Free bytes at the end of the heap that are kept for reuse."""

_ARENAS = 2
"""Heaps: one for the thread of the models, one for the rest."""


def give_memory_back() -> None:
    """Make this process return the memory of bodies and pictures once they are answered.

    By default the GNU C library gives every thread its own heap and keeps up to 64 MiB of free
    memory in each, so a worker would grow with the number of its threads. Does nothing on systems
    with another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_ARENA_MAX, _ARENAS)
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)

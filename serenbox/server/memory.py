"""Telling the allocator to give back what a worker needs for a moment only."""

from __future__ import annotations

import ctypes

# From malloc.h of the GNU C library; mallopt(3) tells what they do.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE = 2**20
"""Bytes from which on a block is the system's again as soon as it is free."""

_KEPT = 4 * 2**20
"""Free bytes at the end of the heap that are kept for what comes next."""

_ARENAS = 2
"""Heaps: one for the thread of the models, one for the rest."""


def give_memory_back() -> None:
    """Let this process return the memory of bodies and pictures once they are answered.

    By itself the GNU C library gives every thread a heap of its own, keeps up to 64 MiB of free
    memory in each, and so would let a worker grow with the number of its threads. Does nothing on
    systems with another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_ARENA_MAX, _ARENAS)
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)

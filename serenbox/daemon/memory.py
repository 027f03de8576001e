"""Keeps pictures out of the swap, which is on the disk."""

from __future__ import annotations

import ctypes
import resource

_CURRENT_FUTURE_ON_FAULT = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT of <sys/mman.h>: what is in use now and whatever will be,
but no page before it is used. See mlockall(2)."""


def lock_memory() -> bool:
    """Have the kernel keep every page of this process in memory; tell whether it does.

    It may where the limit on locked memory is infinite, as systemd/serenbox.service sets it. Under
    any other limit nothing is tried: memory that is asked for later would be refused.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY:
        return False
    libc = ctypes.CDLL(None)
    return int(libc.mlockall(_CURRENT_FUTURE_ON_FAULT)) == 0

"""Keeps pictures out of swap and core dumps, which end up on disk."""

from __future__ import annotations

import ctypes
import logging
import resource
from pathlib import Path

from serenbox.system_text import text_of

_log = logging.getLogger("serenbox.memory")

_CURRENT_FUTURE_ON_FAULT = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT of <sys/mman.h>: everything mapped now or later, but no
page before it is used. See mlockall(2)."""

_PR_SET_DUMPABLE = 4
"""Of <sys/prctl.h>."""


def refuse_dumps() -> None:
    """Keep the kernel from dumping this process's memory when it crashes.

    Limits are not enough: Linux ignores them when dumps go to a program, such as Apport. After this
    call, only root's processes may read this one's memory. See PR_SET_DUMPABLE in prctl(2).
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_memory() -> bool:
    """Lock all memory of this process, so that it is never swapped; return whether that worked.

    This needs an infinite limit on locked memory, as systemd/serenbox.service sets it. Under any
    other limit nothing is tried: later allocations would fail.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY:
        return False
    libc = ctypes.CDLL(None)
    return int(libc.mlockall(_CURRENT_FUTURE_ON_FAULT)) == 0


def warn_of_swap(swaps: Path = Path("/proc/swaps"), devices: Path = Path("/sys/block")) -> None:
    """Warn if this process's pages, which are not locked, may be swapped to disk."""
    found = [name for name in swap_names(text_of(swaps)) if not _in_memory(name, devices)]
    if found:
        _log.warning(
            "parts of pictures may be written to the swap %s, which the installed service "
            "prevents: turn swap off with `sudo swapoff -a`, or let this shell's programs lock "
            "their memory with `sudo prlimit --memlock=unlimited --pid $$` and start again",
            ", ".join(found),
        )


def swap_names(text: str) -> list[str]:
    """Return the swaps in the text of /proc/swaps: the first word of each line but the heading."""
    return [line.split()[0] for line in text.splitlines()[1:] if line.strip()]


def _in_memory(swap: str, devices: Path) -> bool:
    """Return whether a swap is compressed memory (zram) that is never written to disk."""
    name = Path(swap).name
    # Empty if the kernel cannot write zram back at all.
    return name.startswith("zram") and text_of(devices / name / "backing_dev") in {"", "none"}

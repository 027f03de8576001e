"""Keeps pictures out of the swap and out of dumps, which are on the disk."""

from __future__ import annotations

import ctypes
import logging
import resource
from pathlib import Path

from serenbox.system_text import text_of

_log = logging.getLogger("serenbox.memory")

_CURRENT_FUTURE_ON_FAULT = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT of <sys/mman.h>: what is in use now and whatever will be,
but no page before it is used. See mlockall(2)."""

_PR_SET_DUMPABLE = 4
"""Of <sys/prctl.h>."""


def refuse_dumps() -> None:
    """Have the kernel write no dump of this process when it crashes.

    Limits are not enough: where dumps go to a program, such as Apport, Linux does not look at them.
    Nor may any process but root's read this one's memory from then on. See PR_SET_DUMPABLE in
    prctl(2).
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


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


def warn_of_swap(swaps: Path = Path("/proc/swaps"), devices: Path = Path("/sys/block")) -> None:
    """Say once where pages may be written to, of a process whose memory is not locked."""
    found = [name for name in swap_names(text_of(swaps)) if not _in_memory(name, devices)]
    if found:
        _log.warning(
            "parts of pictures may be written to the swap %s, which the installed service "
            "prevents: turn swap off with `sudo swapoff -a`, or let this shell's programs lock "
            "their memory with `sudo prlimit --memlock=unlimited --pid $$` and start again",
            ", ".join(found),
        )


def swap_names(text: str) -> list[str]:
    """Return the swaps that /proc/swaps names: after a heading, a line for each begins with it."""
    return [line.split()[0] for line in text.splitlines()[1:] if line.strip()]


def _in_memory(swap: str, devices: Path) -> bool:
    """Tell whether a swap is compressed memory (zram) that is never written to a disk."""
    name = Path(swap).name
    # Empty where the kernel cannot write it back at all.
    return name.startswith("zram") and text_of(devices / name / "backing_dev") in {"", "none"}

"""Keeps pictures out of the swap, which is on the disk."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import resource
from pathlib import Path

_log = logging.getLogger("serenbox.memory")

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


def warn_of_swap(swaps: Path = Path("/proc/swaps")) -> None:
    """Say once where pages may be written to, of a process whose memory is not locked."""
    text = ""
    with contextlib.suppress(OSError):
        text = swaps.read_text("utf-8", "replace")
    if found := swaps_on_disk(text):
        _log.warning(
            "parts of pictures may be written to the swap %s, which the installed service "
            "prevents: run it under `ulimit -l unlimited`, or turn swap off: `sudo swapoff -a`",
            ", ".join(found),
        )


def swaps_on_disk(text: str) -> list[str]:
    """Return the swaps that are no compressed memory (zram), as /proc/swaps names them.

    Args:
        text: The text of /proc/swaps: a heading, then a line for each, which begins with its name.

    """
    names = [line.split()[0] for line in text.splitlines()[1:] if line.strip()]
    return [name for name in names if not name.startswith("/dev/zram")]

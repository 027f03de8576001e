"""A process that cannot get more memory."""

from __future__ import annotations

import gc
import resource
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


BLOCK = 4_000_000
ARENAS = 64
"""More than malloc has; after each refusal, it may look into another one."""


@contextmanager
def short_memory(room: int) -> Iterator[None]:
    """Let this process take only so many more bytes, apart from small blocks."""
    # A picture that an earlier test left in a cycle would make room when it is collected.
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    # What was freed before may still belong to the process and would be given out beyond the room.
    blocks: list[np.ndarray] = []
    gc.disable()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (size, limits[1]))
        for _ in range(ARENAS):
            with suppress(MemoryError):
                while True:
                    blocks.append(np.empty(BLOCK, np.uint8))
        resource.setrlimit(resource.RLIMIT_AS, (size + room, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        gc.enable()

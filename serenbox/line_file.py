"""Whole lines for a descriptor that others may share, such as a terminal or a pipe."""

from __future__ import annotations

import os
import select


class LineFile:
    """Writes lines and keeps them apart. For one thread, because a reader may let it wait.

    Args:
        descriptor: The file to write to.

    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False

    def write(self, line: bytes) -> None:
        """Write a line, which ends in a newline, however long its reader takes.

        Raises:
            OSError: It could not be written, or not all of it: the disk is full, or the reader has
                gone.

        """
        # A line that was cut short must not run into this one.
        rest = memoryview(b"\n" + line if self._torn else line)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # somebody made the shared terminal non-blocking
                writable = select.poll()
                writable.register(self._descriptor, select.POLLOUT)
                writable.poll()
                continue
            rest = rest[written:]
            self._torn = 0 < len(rest) < len(line)

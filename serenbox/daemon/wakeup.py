"""What the main thread sleeps on: a pipe that threads and signals write to."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)
"""Signals that end the service."""

_MANY = 4096


class Wakeup:
    """Wakes a thread that waits for `fileno` to be readable. `set` may come from any thread."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return what to wait for."""
        return self._reader

    def set(self) -> None:
        """Wake it, now or as soon as it waits."""
        with contextlib.suppress(OSError):  # full, so it is awake; or closed, so nobody sleeps
            os.write(self.writer, b"\0")

    def clear(self) -> None:
        """Let it sleep again."""
        try:
            while len(os.read(self._reader, _MANY)) == _MANY:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the pipe back; nobody may wait any longer."""
        writer, self.writer = self.writer, -1
        if writer >= 0:
            os.close(writer)
            os.close(self._reader)


class Signals:
    """Remembers which signals came, and wakes the main thread. Made in the main thread only.

    Args:
        wakeup: What to wake.
        numbers: The signals to take.

    """

    def __init__(self, wakeup: Wakeup, numbers: Iterable[signal.Signals]) -> None:
        self._came: set[int] = set()
        # A Python handler runs between two instructions only, so a signal that comes just before
        # the thread begins to wait would go unnoticed; this byte is written at once, in C.
        signal.set_wakeup_fd(wakeup.writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._take)

    def came(self, *numbers: signal.Signals) -> bool:
        """Tell whether one of them came, and forget it."""
        found = self._came.intersection(numbers)
        self._came -= found
        return bool(found)

    def pending(self, *numbers: signal.Signals) -> bool:
        """Tell whether one of them came, and keep it in mind."""
        return not self._came.isdisjoint(numbers)

    def _take(self, number: int, _: FrameType | None) -> None:
        self._came.add(number)

"""The signals that the service handles."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from serenbox.waker import Waker

ENDING = (signal.SIGTERM, signal.SIGINT)
"""Signals that end the service."""


class Signals:
    """Remembers which signals came, and wakes the main thread. Create it in the main thread.

    SIGHUP has two meanings. If it comes because the terminal has gone, it counts as SIGTERM, unless
    `nohup` asked for it to be ignored.

    Args:
        waker: What to wake.
        numbers: The signals to handle.

    """

    def __init__(self, waker: Waker, numbers: Iterable[signal.Signals]) -> None:
        self._came: set[int] = set()
        heeded = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        self._needs_terminal = heeded and _has_terminal()
        # A Python handler only runs between two instructions, so a signal that comes just before
        # the thread starts to wait would go unnoticed; the waker's byte is written at once, in C.
        signal.set_wakeup_fd(waker.writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._take)
        # Whoever started this may have had it ignored; then nobody could learn how a hook ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def came(self, *numbers: signal.Signals) -> bool:
        """Return whether any of these came, and forget them."""
        found = self._came.intersection(numbers)
        self._came -= found
        return bool(found)

    def pending(self, *numbers: signal.Signals) -> bool:
        """Return whether any of these came, without forgetting them."""
        return not self._came.isdisjoint(numbers)

    def _take(self, number: int, _: FrameType | None) -> None:
        gone = number == signal.SIGHUP and self._needs_terminal and not _has_terminal()
        self._came.add(signal.SIGTERM if gone else number)


def _has_terminal() -> bool:
    """Return whether this process belongs to a terminal, and that is still there."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(terminal)
    return True

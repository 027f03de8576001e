"""The signals that the service handles."""

from __future__ import annotations

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

    Args:
        waker: What to wake.
        numbers: The signals to handle.

    """

    def __init__(self, waker: Waker, numbers: Iterable[signal.Signals]) -> None:
        self._came: set[int] = set()
        # A Python handler only runs between two instructions, so a signal that comes just before
        # the thread starts to wait would go unnoticed; the waker's byte is written at once, in C.
        signal.set_wakeup_fd(waker.writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._take)

    def came(self, *numbers: signal.Signals) -> bool:
        """Return whether any of these came, and forget them."""
        found = self._came.intersection(numbers)
        self._came -= found
        return bool(found)

    def pending(self, *numbers: signal.Signals) -> bool:
        """Return whether any of these came, without forgetting them."""
        return not self._came.isdisjoint(numbers)

    def _take(self, number: int, _: FrameType | None) -> None:
        self._came.add(number)

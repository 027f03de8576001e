"""When to try again, and what of a trouble is news. Pure: no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.outputs.mqtt_access import NEEDS_A_PERSON

if TYPE_CHECKING:
    from serenbox.outputs.mqtt_access import Fault, Patience

_SUSPICIOUS = 3
"""Short connections in a row after which something else than the network must be wrong."""


class Retries:
    """Keeps count of attempts and of what was said about them.

    An incident begins with the first failure and ends when a connection has held for
    `Patience.steady` seconds; within one each fault is news once. Pauses grow until a connection
    has held for `Patience.brief`.

    Args:
        patience: How long pauses are.

    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._pause = 0.0
        self._told: set[Fault] = set()
        self._short_ones = 0
        self._good_news = True

    @property
    def suspicious(self) -> bool:
        """Whether connections succeed and break again and again."""
        return self._short_ones >= _SUSPICIOUS

    def not_connected(self) -> None:
        """Take note that no connection was made."""
        self._short_ones = 0

    def held_for(self, seconds: float) -> None:
        """Take note that a connection was made and has ended after so many seconds."""
        if seconds >= self._patience.brief:
            self._pause = 0.0
            self._short_ones = 0
        else:
            self._short_ones += 1
        if seconds >= self._patience.steady:
            self._told.clear()
            self._good_news = True

    def is_news(self, fault: Fault) -> bool:
        """Tell whether this is the first time in this incident; the next time it is not."""
        news = fault not in self._told
        self._told.add(fault)
        self._good_news |= news
        return news

    def connected_is_news(self) -> bool:
        """Tell whether a connection is the first since something was told; the next one is not."""
        news, self._good_news = self._good_news, False
        return news

    def next_pause(self, fault: Fault) -> float:
        """Return how many seconds to wait before the next attempt."""
        if fault in NEEDS_A_PERSON:
            self._pause = self._patience.longest_pause
        else:
            longer = max(self._patience.first_pause, 2 * self._pause)
            self._pause = min(longer, self._patience.longest_pause)
        return self._pause

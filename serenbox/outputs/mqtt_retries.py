"""When to try again, and which faults are news. Pure: no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.outputs.mqtt_access import NEEDS_A_PERSON

if TYPE_CHECKING:
    from serenbox.outputs.mqtt_access import Fault, Patience

_SUSPICIOUS = 3
"""Short connections in a row after which something other than the network must be wrong."""


class Retries:
    """Keeps track of attempts and of what was logged about them.

    An incident begins with the first failure and ends when a connection has lasted for
    `Patience.steady` seconds; within an incident each fault is news once. Pauses grow until a
    connection has lasted for `Patience.brief`.

    Args:
        patience: How long the pauses are.

    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._pause = 0.0
        self._told: set[Fault] = set()
        self._short_ones = 0
        self._good_news = True

    @property
    def suspicious(self) -> bool:
        """Whether connections keep succeeding and breaking soon."""
        return self._short_ones >= _SUSPICIOUS

    def not_connected(self) -> None:
        """Record that no connection was made."""
        self._short_ones = 0

    def held_for(self, seconds: float) -> None:
        """Record that a connection was made and ended after so many seconds."""
        if seconds >= self._patience.brief:
            self._pause = 0.0
            self._short_ones = 0
        else:
            self._short_ones += 1
        if seconds >= self._patience.steady:
            self._told.clear()
            self._good_news = True

    def fell_silent(self, after: float) -> None:
        """Record that a connection was made and worked for so many seconds, but not any longer."""
        self.held_for(after)
        self._short_ones = 0  # it was not the broker who ended it

    def is_news(self, fault: Fault) -> bool:
        """Return whether a fault is new in this incident, and record it."""
        news = fault not in self._told
        self._told.add(fault)
        self._good_news |= news
        return news

    def connected_is_news(self) -> bool:
        """Return whether a connection is the first since a new fault or incident, and record it."""
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

"""What the broker has confirmed, and what it still has to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Confirmations:
    """Keeps account of the messages of one connection. Used by one thread.

    Args:
        clock: Monotonic clock, in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[int, bool] = {}
        self._denied_events = 0
        self.waiting_since = clock()
        """When the last confirmation came, or, if later, when the wait for one began."""
        self.confirmed = 0
        """Number of messages that the broker has confirmed or, with QoS 0, that were sent."""
        self.denied_at: float | None = None
        """When the broker last denied a message or a subscription."""
        self.answered = False
        """Whether the broker has confirmed or denied any message."""

    @property
    def under_way(self) -> int:
        """Number of messages that the broker has neither confirmed nor denied yet."""
        return len(self._under_way)

    @property
    def undelivered_events(self) -> int:
        """Number of events that were sent, but were denied or may not have arrived."""
        return sum(self._under_way.values()) + self._denied_events

    def sent(self, number: int, *, event: bool) -> None:
        """Record that a message which the broker has to confirm was sent."""
        if not self._under_way:
            self.waiting_since = self._clock()
        self._under_way[number] = event

    def sent_unconfirmed(self) -> None:
        """Record that a message with QoS 0 was sent, which no broker confirms."""
        self.confirmed += 1

    def came(self, number: int, *, denied: bool) -> None:
        """Record what the broker said about a message; with QoS 0 it is paho-mqtt that says so."""
        if number not in self._under_way:
            return
        event = self._under_way.pop(number)
        self.answered = True
        self.waiting_since = self._clock()
        if denied:
            self.denied()
        self._denied_events += event and denied
        self.confirmed += not denied

    def denied(self) -> None:
        """Record that the broker has denied a message or a subscription."""
        self.denied_at = self._clock()

    def silent_for(self, now: float) -> float:
        """Return for how many seconds nothing was confirmed although something is under way.

        What counts is the last confirmation of any message, so that a slow broker, which takes long
        for each one of a full window, is not taken for a silent one.
        """
        return max(0.0, now - self.waiting_since) if self._under_way else 0.0

"""What stands between the caller and an output's thread: limited in length, never waited for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["mood", "event", "stats"]

EVENT_LIMIT = 256
"""Events that wait at most, about a megabyte. Moods change every few seconds, so this many are
minutes: who is that far behind wants the newest ones."""


class Mailbox:
    """Messages for an output's thread, in the order in which they came.

    Of moods and statistics only the latest waits. Of events all do, up to `EVENT_LIMIT`; then the
    oldest one goes. A closed mailbox takes nothing.

    Args:
        wake: Called, in the caller's thread and without waiting, when there is something to take.

    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: OrderedDict[object, tuple[Kind, Mapping[str, Any]]] = OrderedDict()
        self._events: deque[object] = deque()
        self._open = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Events that nobody will get: they came while it was closed, or were too many."""
        return self._dropped

    def put(self, kind: Kind, message: Mapping[str, Any]) -> None:
        """Add a message, or drop it; returns at once either way."""
        with self._lock:
            if not self._open:
                self._dropped += kind == "event"
                return
            key: object = object() if kind == "event" else kind
            self._waiting[key] = (kind, message)
            # A newer mood stands behind the events before it: none arrives after its sequel.
            self._waiting.move_to_end(key)
            if kind == "event":
                self._forget_oldest_event()
                self._events.append(key)
        self._wake()

    def take(self) -> tuple[Kind, Mapping[str, Any]] | None:
        """Return the message that has waited longest; None where there is none."""
        with self._lock:
            if not self._waiting:
                return None
            kind, message = self._waiting.popitem(last=False)[1]
            if kind == "event":
                self._events.popleft()
            return kind, message

    def open(self) -> None:
        """Take messages from now on."""
        with self._lock:
            self._open = True

    def shut(self, *, forget: bool = True) -> None:
        """Take no more messages.

        Args:
            forget: Also drop those that wait.

        """
        with self._lock:
            self._open = False
            if forget:
                self._dropped += len(self._events)
                self._waiting.clear()
                self._events.clear()

    def count_dropped(self, events: int) -> None:
        """Add events that were taken but could not be delivered."""
        with self._lock:
            self._dropped += events

    def _forget_oldest_event(self) -> None:
        if len(self._events) >= EVENT_LIMIT:
            del self._waiting[self._events.popleft()]
            self._dropped += 1


class RateLimit:
    """Lets something be said at once, and then at most once per interval.

    Args:
        interval: Seconds.
        clock: Seconds, never going backwards.

    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._last: float | None = None
        self._held_back = 0

    def pass_on(self) -> int:
        """Return how often it happened since it was last said, this time included; 0: be silent."""
        now = self._clock()
        self._held_back += 1
        if self._last is not None and now - self._last < self._interval:
            return 0
        count, self._held_back, self._last = self._held_back, 0, now
        return count

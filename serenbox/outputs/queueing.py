"""The queue between callers and an output's thread: limited in length, never blocking a caller."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["mood", "event", "stats"]

EVENT_LIMIT = 256
"""Maximum events that wait, about a megabyte. Moods change every few seconds, so these span
minutes: a reader that far behind wants the newest ones."""


class Mailbox:
    """Messages for an output's thread, in the order in which they came.

    Of moods and statistics only the latest waits. All events wait, up to `EVENT_LIMIT`; beyond
    that the oldest is dropped. A closed mailbox accepts nothing.

    Args:
        wake: Called in the caller's thread when there is something to take; must not block.

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
        """Number of events lost: it was closed, they were too many, or delivery failed."""
        return self._dropped

    def put(self, kind: Kind, message: Mapping[str, Any]) -> None:
        """Add a message, or drop it; returns at once either way."""
        with self._lock:
            if not self._open:
                self._dropped += kind == "event"
                return
            key: object = object() if kind == "event" else kind
            self._waiting[key] = (kind, message)
            # Behind the events that came before it: none may arrive after a newer mood.
            self._waiting.move_to_end(key)
            if kind == "event":
                self._forget_oldest_event()
                self._events.append(key)
        self._wake()

    def take(self) -> tuple[Kind, Mapping[str, Any]] | None:
        """Return the first message in the queue; None if it is empty."""
        with self._lock:
            if not self._waiting:
                return None
            kind, message = self._waiting.popitem(last=False)[1]
            if kind == "event":
                self._events.popleft()
            return kind, message

    def open(self) -> None:
        """Accept messages from now on."""
        with self._lock:
            self._open = True

    def shut(self, *, forget: bool = True) -> None:
        """Accept no more messages.

        Args:
            forget: Also drop those that are waiting.

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
    """Lets something be logged at once, and then at most once per interval.

    Args:
        interval: Seconds.
        clock: Monotonic clock, in seconds.

    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._last: float | None = None
        self._held_back = 0

    def pass_on(self) -> int:
        """Count an occurrence; return how many there were since the last log, 0 to log nothing."""
        now = self._clock()
        self._held_back += 1
        if self._last is not None and now - self._last < self._interval:
            return 0
        count, self._held_back, self._last = self._held_back, 0, now
        return count

"""What stands between the caller and an output's thread: limited in length, never waited for."""

from __future__ import annotations

import contextlib
import socket
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

    Of moods and statistics only the latest waits. Of events all do, up to a limit; then the oldest
    one goes. A closed mailbox takes nothing.

    Args:
        wake: Called, in the caller's thread and without waiting, when there is something to take.
        event_limit: Events that wait at most.

    """

    def __init__(self, wake: Callable[[], None], event_limit: int = EVENT_LIMIT) -> None:
        self._wake = wake
        self._limit = event_limit
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
        if len(self._events) >= self._limit:
            del self._waiting[self._events.popleft()]
            self._dropped += 1


class Waker:
    """Wakes a thread that waits for a network and for messages at the same time."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)  # noqa: FBT003 - a name is not taken
        self._writer.setblocking(False)  # noqa: FBT003 - a name is not taken

    def fileno(self) -> int:
        """Return the descriptor that is readable after `wake`."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Make it readable; from any thread, even after `close`."""
        with contextlib.suppress(OSError):  # full, so it is readable anyway; or closed
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Wait for the next `wake` from now on."""
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)

    def close(self) -> None:
        """Give the descriptors back."""
        self._reader.close()
        self._writer.close()


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

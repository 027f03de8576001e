"""Commands from other threads, such as those of MQTT and the web page, to the main thread."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Commands:
    """Names of commands: any thread puts them in, the main thread takes them out.

    Args:
        wake: Wakes the main thread.

    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._names: deque[str] = deque()

    def put(self, name: str) -> None:
        """Ask for `pause`, `resume`, `report` or `stats`; returns at once.

        `report` sends new statistics to the web page, which wants them sooner than the other
        outputs; `stats` sends them to every output.
        """
        self._names.append(name)
        self._wake()

    def take(self) -> list[str]:
        """Return the commands that have come since the last call, the oldest first."""
        return [self._names.popleft() for _ in range(len(self._names))]


def pause_wanted(names: Sequence[str]) -> bool | None:
    """Return whether the latest `pause` or `resume`, which is the one that counts, is `pause`.

    Without either of them, return None.
    """
    latest = next((name for name in reversed(names) if name in {"pause", "resume"}), None)
    return None if latest is None else latest == "pause"

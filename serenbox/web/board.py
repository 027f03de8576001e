"""What the page shows: the latest of everything. Used only in the web page's thread."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from serenbox.history.minutes import MINUTE
from serenbox.outputs.messages import MOOD_LABELS, SCHEMA, mood_message, timestamp
from serenbox.web.timeline import PERIODS, Timeline, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serenbox.history.minutes import Summary
    from serenbox.history.output import HistoryOutput
    from serenbox.outputs.base import Output

_NEWS = 180.0
"""Seconds without a message after which the service hangs: one comes at least every minute."""

_STALE = 2
"""Minutes for which the last answer of the history is shown again while its disk is busy."""

_UNKNOWN: dict[str, Any] = {
    "state": "no_camera",
    "version": "unknown",
    "uptime": 0.0,
    "camera": "",
    "frames": 0,
    "fps": 0.0,
    "latency_ms": {},
    "temperature_c": None,
    "throttled": None,
    "memory_mb": 0.0,
    "problem": None,
}
"""Statistics before there are any."""


class Board:
    """Collects messages and answers what the page asks.

    Args:
        device: The name of the box.
        others: The other outputs, whose health is shown.
        preview_allowed: Whether the camera may be watched live.
        clock: Monotonic clock, in seconds.
        wall: Seconds since 1970.

    """

    def __init__(
        self,
        device: str,
        others: Sequence[Output] = (),
        *,
        preview_allowed: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._device = device
        self._others = others
        self._clock = clock
        self._wall = wall
        self._timeline = Timeline()
        kept = next((output for output in others if output.name == "history"), None)
        self._kept = cast("HistoryOutput | None", kept)
        self._stats = _UNKNOWN
        self._problem: str | None = None
        self._latest_kept: dict[str, tuple[int, list[Summary]]] = {}
        self._told_at: float | None = None
        self.preview_allowed = preview_allowed
        self.previews = 0
        """How many visitors watch the camera live."""
        self.mood: Mapping[str, Any] = mood_message(device, wall(), "no_camera", None, 0.0)
        """The latest mood message."""
        self.changes = Counter(dict.fromkeys(MOOD_LABELS, 0))
        """How often the mood changed to each of `MOOD_LABELS`."""

    def take(self, kind: str, message: Mapping[str, Any]) -> None:
        """Take a message from the daemon: a `mood`, an `event`, or `stats`."""
        if kind == "stats":
            self._stats = {**_UNKNOWN, **message}
            # Only a requested report says what is wrong with the camera now.
            self._problem = message.get("problem", self._problem)
            return
        now = self._clock()
        self._told_at = now
        self._timeline.add(now, message["mood"])
        problem = message.get("problem")
        if kind == "event":
            self._problem = problem
            self.changes[message["mood"]] += 1
        else:
            # A report may have said more about the same problem by now.
            self._problem = (self._problem or problem) if problem else None
            self.mood = message

    @property
    def reported(self) -> bool:
        """Whether any statistics have come yet."""
        return self._stats is not _UNKNOWN

    @property
    def hangs(self) -> bool:
        """Whether the daemon has been silent for too long."""
        return self._told_at is not None and self._clock() - self._told_at > _NEWS

    def health(self) -> dict[str, Any]:
        """Return how the box is doing, ready for JSON: the statistics, and what may be newer."""
        state = self.mood["state"]
        stats = {key: self._stats[key] for key in _UNKNOWN}
        stats["problem"] = self._problem if state != "sensing" else None
        if state != "sensing":
            stats |= {"camera": "", "fps": 0.0}  # the last report may be from before
        return {
            "schema": SCHEMA,
            "device": self._device,
            "time": timestamp(self._wall()),
            **stats,
            "state": state,
            "hangs": self.hangs,
            "preview_allowed": self.preview_allowed,
            "previews": self.previews,
            "outputs": {output.name: output.health() for output in self._others},
        }

    def history(self, period: str) -> dict[str, Any]:
        """Return the moods of one of `PERIODS`, ready for JSON.

        They come from the database if the history is kept. If it is not, or cannot be read for
        some time, they come from the messages since the page started.
        """
        minutes, step = PERIODS[period]
        if (kept := self._read_kept(period)) is not None:
            first, summaries = kept
            steps = steps_of(summaries, first, minutes, step)
        else:
            steps = self._timeline.history(period, self._clock(), self._wall())
        return {
            "schema": SCHEMA,
            "device": self._device,
            "period": period,
            "minutes": minutes,
            "step_minutes": step,
            "kept_days": self._kept.days if self._kept else None,
            "steps": steps,
        }

    def _read_kept(self, period: str) -> tuple[int, list[Summary]] | None:
        """Return what `HistoryOutput.recent` returns, or lately did if its disk is busy."""
        if self._kept is None:
            return None
        minutes, step = PERIODS[period]
        if (kept := self._kept.recent(minutes, step)) is not None:
            self._latest_kept[period] = kept
            return kept
        before = self._latest_kept.get(period)
        first = int(self._wall() // MINUTE) + 1 - minutes
        return before if before is not None and first - before[0] <= _STALE else None

    def liveness(self) -> tuple[bool, str]:
        """Return whether all is well, and in a word what the box does."""
        if self.hangs:
            return False, "hangs"
        state = str(self.mood["state"])
        return state != "no_camera", state

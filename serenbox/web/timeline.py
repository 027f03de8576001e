"""The moods of the last day, by minute. Pure: no clock. Its memory is limited."""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING, Any

from serenbox.history.minutes import MINUTE, SILENCE, split_by_minute
from serenbox.outputs.messages import MOOD_LABELS, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serenbox.history.minutes import Summary

MINUTES = 24 * 60
"""Minutes that are remembered."""

PERIODS = {"hour": (60, 1), "day": (MINUTES, 15)}
"""How many minutes each period has, and how many of them make up one step."""


class Timeline:
    """Adds up the seconds of each mood in each minute.

    Times are seconds on a monotonic clock. The wall clock matters only when the result is asked
    for: even if it is set by a day, what was five minutes ago stays five minutes ago.
    """

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, array[float]]] = deque(maxlen=MINUTES)
        self._label: str | None = None
        self._known_until = 0.0
        self._counted_until = 0.0

    def add(self, now: float, label: str) -> None:
        """Take a new mood, one of `MOOD_LABELS`, that holds from now on."""
        self._count(now)
        self._label = label if label in MOOD_LABELS else None
        self._known_until = now + SILENCE
        self._counted_until = now

    def history(self, period: str, now: float, wall: float) -> list[dict[str, Any]]:
        """Return the seconds of each mood in equal steps, oldest first.

        Args:
            period: One of `PERIODS`.
            now: Seconds on the clock of `add`.
            wall: The same moment, seconds since 1970.

        Returns:
            For each step its beginning as `time`, and `seconds` by mood: only those above 0, so
            none for a step of which nothing is known.

        """
        self._count(now)
        minutes, step = PERIODS[period]
        first = int(now // MINUTE) - minutes + 1
        parts = ((minute - first, seconds) for minute, seconds in self._minutes if minute >= first)
        return _steps(parts, minutes, step, wall - now + first * MINUTE)

    def _count(self, now: float) -> None:
        """Add the time since the last count to the mood that held then."""
        end = min(now, self._known_until)
        if self._label is not None:
            index = MOOD_LABELS.index(self._label)
            for minute, seconds in split_by_minute(self._counted_until, end):
                if not self._minutes or self._minutes[-1][0] != minute:
                    self._minutes.append((minute, array("f", bytes(4 * len(MOOD_LABELS)))))
                self._minutes[-1][1][index] += seconds
        self._counted_until = max(self._counted_until, end)


def steps_of(
    summaries: Iterable[Summary], first: int, minutes: int, step: int
) -> list[dict[str, Any]]:
    """Return what is kept in the database in the form of `Timeline.history`.

    Args:
        summaries: What is known, in any order and in any number of parts.
        first: The minute that the first step begins with.
        minutes: How many there are.
        step: How many of them make up one step.

    """
    parts = ((summary.minute - first, summary.seconds) for summary in summaries)
    return _steps(parts, minutes, step, first * MINUTE)


def _steps(
    parts: Iterable[tuple[int, Sequence[float]]], minutes: int, step: int, began: float
) -> list[dict[str, Any]]:
    """Return the steps of `Timeline.history`; `began` is in seconds since 1970."""
    sums = [[0.0] * len(MOOD_LABELS) for _ in range(minutes // step)]
    for minute, seconds in parts:
        total = sums[minute // step]
        for index, value in enumerate(seconds):
            total[index] += value
    return [
        {"time": timestamp(began + index * step * MINUTE), "seconds": _named(total)}
        for index, total in enumerate(sums)
    ]


def _named(seconds: Sequence[float]) -> dict[str, float]:
    named = {label: round(value, 1) for label, value in zip(MOOD_LABELS, seconds, strict=True)}
    return {label: value for label, value in named.items() if value > 0}

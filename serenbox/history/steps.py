"""From minutes to the hours and days of local time. Pure except for the local time zone."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.history.minutes import MINUTE
from serenbox.outputs.messages import MOOD_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QUARTER = 15
"""Minutes to read together: the UTC offset of every time zone is a multiple of them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A span of time and the moods in it."""

    begin: float
    """Seconds since 1970."""
    end: float
    seconds: tuple[float, ...]
    """Of each of `MOOD_LABELS`; the sum is less than the whole if part of it is unknown, and more
    if the clock was set back."""

    @property
    def known(self) -> float:
        """Seconds of which anything is known."""
        return sum(self.seconds)


def boundaries(now: float, count: int, minutes: int) -> list[float]:
    """Return where equal steps begin and where the last one, which contains `now`, ends.

    Args:
        now: Seconds since 1970.
        count: How many steps.
        minutes: The length of a step, a divisor of an hour; steps begin at its multiples in local
            time.

    """
    length = minutes * MINUTE
    offset = time.localtime(now).tm_gmtoff
    last = now - (now + offset) % length
    return [last - length * back for back in range(count - 1, -2, -1)]


def midnights(now: float, days: int) -> list[float]:
    """Return where so many days of local time begin and where the last one, today, ends.

    Because of summer time, days have 23 to 25 hours.
    """
    today = time.localtime(now)
    year, month, day = today[:3]
    return [
        time.mktime((year, month, day - back, 0, 0, 0, 0, 0, -1))
        for back in range(days - 1, -2, -1)
    ]


def gather(parts: Iterable[tuple[int, Sequence[float]]], edges: Sequence[float]) -> list[Step]:
    """Add up parts of time into steps.

    Args:
        parts: For each part the minute that it begins with, and the seconds of each mood.
        edges: Where the steps begin, and where the last one ends; parts outside are left out.

    """
    sums = [[0.0] * len(MOOD_LABELS) for _ in edges[1:]]
    for minute, seconds in parts:
        index = bisect_right(edges, minute * MINUTE) - 1
        if 0 <= index < len(sums):
            sums[index] = [a + b for a, b in zip(sums[index], seconds, strict=True)]
    spans = zip(edges, edges[1:], sums, strict=False)
    return [Step(begin, end, tuple(total)) for begin, end, total in spans]


def present_labels(steps: Sequence[Step]) -> list[str]:
    """Return the moods that occur in the steps, in the order of `MOOD_LABELS`."""
    return [
        label
        for index, label in enumerate(MOOD_LABELS)
        if any(step.seconds[index] > 0 for step in steps)
    ]

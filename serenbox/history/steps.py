"""From minutes to the hours and days of a person's calendar. Pure but for the local time zone."""

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
"""Minutes to read together: every time zone differs from UTC by a multiple of them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of time and the moods in it."""

    begin: float
    """Seconds since 1970."""
    end: float
    seconds: tuple[float, ...]
    """Of each of `MOOD_LABELS`; together less than the whole where something is not known, and more
    where the clock was set back."""

    @property
    def known(self) -> float:
        """Seconds of which anything is known."""
        return sum(self.seconds)


def boundaries(now: float, count: int, minutes: int) -> list[float]:
    """Return where equal steps begin and the last one ends, which is the one that `now` is in.

    Args:
        now: Seconds since 1970.
        count: How many steps.
        minutes: The length of one, a divisor of an hour; they begin at full ones of local time.

    """
    length = minutes * MINUTE
    offset = time.localtime(now).tm_gmtoff
    last = now - (now + offset) % length
    return [last - length * back for back in range(count - 1, -2, -1)]


def midnights(now: float, days: int) -> list[float]:
    """Return where so many days of local time begin and the last one, today, ends.

    With summer time, days have 23 to 25 hours.
    """
    today = time.localtime(now)
    year, month, day = today[:3]
    return [
        time.mktime((year, month, day - back, 0, 0, 0, 0, 0, -1))
        for back in range(days - 1, -2, -1)
    ]


def gather(parts: Iterable[tuple[int, Sequence[float]]], edges: Sequence[float]) -> list[Step]:
    """Add up parts of time in steps.

    Args:
        parts: The minute that each begins with, and the seconds of each mood.
        edges: Where the steps begin, and the last one ends; what lies outside is left out.

    """
    sums = [[0.0] * len(MOOD_LABELS) for _ in edges[1:]]
    for minute, seconds in parts:
        index = bisect_right(edges, minute * MINUTE) - 1
        if 0 <= index < len(sums):
            sums[index] = [a + b for a, b in zip(sums[index], seconds, strict=True)]
    spans = zip(edges, edges[1:], sums, strict=False)
    return [Step(begin, end, tuple(total)) for begin, end, total in spans]


def present_labels(steps: Sequence[Step]) -> list[str]:
    """Return the moods that there were, in the order of `MOOD_LABELS`."""
    return [
        label
        for index, label in enumerate(MOOD_LABELS)
        if any(step.seconds[index] > 0 for step in steps)
    ]

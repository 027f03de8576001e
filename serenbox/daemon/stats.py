"""How fast frames are handled, over a limited time. Pure: no clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SAMPLES = 512
"""Number of frames whose latencies are kept."""

_MOMENTS = 4096
"""Number of frames whose times are kept, to count frames per second."""

_OF_LATE = 10.0
"""Seconds over which frames per second are counted."""

PERCENTILES = (50, 95, 99)


class FrameStats:
    """Counts frames and keeps the latest latencies, in limited memory."""

    def __init__(self) -> None:
        self.frames = 0
        """Frames since the beginning."""
        self._latencies: dict[str, deque[float]] = {}
        self._moments: deque[float] = deque(maxlen=_MOMENTS)

    def add(self, now: float, seconds: Mapping[str, float]) -> None:
        """Record one frame.

        Args:
            now: Seconds on a clock that never goes back.
            seconds: How long each stage took, by name, without the stages that did not run.

        """
        self.frames += 1
        self._moments.append(now)
        for stage, latency in seconds.items():
            self._latencies.setdefault(stage, deque(maxlen=_SAMPLES)).append(latency)

    def fps(self, now: float) -> float:
        """Return frames per second over the last ten seconds; if slow, over the last two frames."""
        moments = self._moments
        recent = [moment for moment in moments if moment > now - _OF_LATE]
        if len(recent) < 2 <= len(moments) and now - moments[-1] < 3 * (moments[-1] - moments[-2]):
            recent = [moments[-2], moments[-1]]
        if len(recent) < 2 or now <= recent[0]:
            return 0.0
        first, last = recent[0], recent[-1]
        gap = (last - first) / (len(recent) - 1)
        # In a stall the figure falls at once: silence counts as soon as a frame is overdue.
        overdue = max(0.0, now - last - gap)
        return (len(recent) - 1) / max(last - first + overdue, 1e-6)

    def latency_ms(self) -> dict[str, dict[str, float]]:
        """Return the percentiles of each stage's latency, milliseconds, as `p50` and so on."""
        return {
            stage: {f"p{rank}": 1e3 * value for rank, value in percentiles(latest).items()}
            for stage, latest in self._latencies.items()
        }


def percentiles(values: Iterable[float]) -> dict[int, float]:
    """Return the 50th, 95th and 99th percentile, by nearest rank; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    # Nearest rank: the smallest value that at least `rank` percent do not exceed.
    return {rank: ordered[-(-rank * len(ordered) // 100) - 1] for rank in PERCENTILES}

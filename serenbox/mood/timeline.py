"""From the moods of a recording's frames to a timeline: when each mood began and ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.mood.types import MOODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serenbox.mood.types import Mood


@dataclass(frozen=True, slots=True)
class Span:
    """A mood from its start to the start of the next; times in seconds of the recording."""

    start: float
    end: float
    mood: str
    """One of `MOODS`."""
    confidence: float
    """Mean over its frames, 0 to 1."""

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


class Timeline:
    """Collects moods, one per frame.

    Args:
        step: How long a frame lasts if it is the only one, seconds. Otherwise the last one lasts as
            long as the shortest: where frames are missing, the one before lasts longer.

    """

    def __init__(self, step: float = 0.0) -> None:
        self.frames = 0
        """Frames taken in."""
        self._closed: list[Span] = []
        self._open: Mood | None = None
        self._start = self._last = 0.0
        self._step = step
        self._confidence = 0.0
        self._count = 0

    def add(self, time: float, mood: Mood) -> None:
        """Take in the mood of the next frame; `time` in seconds, never backwards."""
        if self.frames:
            since = time - self._last
            self._step = since if self.frames == 1 else min(self._step, since)
        self.frames += 1
        self._last = time
        if self._open is None or mood.label != self._open.label:
            self._close(time)
            self._open, self._start, self._confidence, self._count = mood, time, 0.0, 0
        self._confidence += mood.confidence
        self._count += 1

    @property
    def spans(self) -> list[Span]:
        """The moods in order; the last one ends when the last frame does."""
        if self._open is None:
            return []
        return [*self._closed, self._span(self._open, self._last + self._step)]

    def _close(self, time: float) -> None:
        if self._open is not None:
            self._closed.append(self._span(self._open, time))

    def _span(self, mood: Mood, end: float) -> Span:
        return Span(self._start, end, mood.label, self._confidence / self._count)


def totals(spans: Sequence[Span]) -> dict[str, float]:
    """Return the total seconds of each mood that occurred, in the order of `MOODS`."""
    present = {span.mood for span in spans}
    return {
        mood: sum(span.seconds for span in spans if span.mood == mood)
        for mood in MOODS
        if mood in present
    }

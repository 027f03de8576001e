"""How long each mood lasted in a minute, and how high the scores were. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.outputs.messages import HEARTBEAT, MOOD_LABELS
from serenbox.results import EMOTIONS, UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MINUTE = 60.0

SILENCE = 1.5 * HEARTBEAT
"""Seconds after the last message for which its mood is assumed to last."""

SEEN = (*EMOTIONS, UNCERTAIN)
"""The moods that a face in view can have."""

_JUMP = 60.0
"""Seconds by which the wall clock must deviate from the monotonic one to count as set."""

REST = 3600.0
"""Seconds for which the wall clock is not trusted after it was set ahead: that may be a mistake."""

_FIRST_SCORE = len(MOOD_LABELS)


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a minute, or of several in a row."""

    minute: int
    """The first one: whole minutes since 1970, UTC."""
    seconds: tuple[float, ...]
    """Of each of `MOOD_LABELS`. The sum is less than the whole if the service did not run all the
    time, and more if somebody set the clock back, so that a minute came twice."""
    score_seconds: tuple[float, ...]
    """Of each of `EMOTIONS`, the integral of its score over time, in seconds, so that the parts of
    a minute can be added."""

    @property
    def known(self) -> float:
        """Seconds of which anything is known."""
        return sum(self.seconds)

    @property
    def seen(self) -> float:
        """Seconds with a face in view."""
        return sum(self.seconds[: len(SEEN)])

    @property
    def mean_scores(self) -> tuple[float, ...] | None:
        """The mean score of each of `EMOTIONS`, 0 to 1, while there was a face; None if never."""
        seen = self.seen
        return tuple(each / seen for each in self.score_seconds) if seen > 0 else None


class MinuteSums:
    """Adds up moods and scores in minutes of the wall clock.

    Durations come from a monotonic clock, `now`; minutes come from the wall clock, `wall`, which
    somebody may set at any moment. Both are in seconds.
    """

    def __init__(self) -> None:
        self.jumped_ahead: float | None = None
        """When the wall clock last jumped ahead by more than a minute, on the monotonic clock."""
        self.before_jump = 0.0
        """What the wall clock had shown before, and before the jumps less than `REST` earlier."""
        self.jumped_back: float | None = None
        """The same for jumps back."""
        self._open: dict[int, list[float]] = {}
        self._label: int | None = None
        self._scores: tuple[float, ...] = ()
        self._known_until = 0.0
        self._now: float | None = None
        self._wall = 0.0

    def tell(self, now: float, wall: float, label: str, scores: Mapping[str, float | None]) -> None:
        """Take the mood and the scores that hold from now on.

        Args:
            now: On the monotonic clock.
            wall: The same moment, since 1970.
            label: One of `MOOD_LABELS`; any other counts as unknown.
            scores: The score of each emotion, 0 to 1.

        """
        self.count(now, wall)
        self._label = MOOD_LABELS.index(label) if label in MOOD_LABELS else None
        self._scores = tuple(scores.get(emotion) or 0.0 for emotion in EMOTIONS)
        self._known_until = now + SILENCE

    def count(self, now: float, wall: float) -> None:
        """Add the time since the last call to the mood that held then."""
        if self._now is not None:
            jump = (wall - self._wall) - (now - self._now)
            if jump > _JUMP:
                self.jump_ahead(now, self._wall)
            elif jump < -_JUMP:
                self.jumped_back = now
            lasted = min(now, self._known_until) - self._now
            if self._label is not None and lasted > 0:
                for minute, seconds in split_by_minute(self._wall, self._wall + lasted):
                    self._add(minute, self._label, seconds)
        self._now, self._wall = now, wall

    def jump_ahead(self, now: float, before: float) -> None:
        """Note that the wall clock, which had shown `before`, was set ahead."""
        resting = self.jumped_ahead is not None and now - self.jumped_ahead < REST
        self.before_jump = min(before, self.before_jump) if resting else before
        self.jumped_ahead = now

    def take_finished(self) -> list[Summary]:
        """Return all minutes except the current one, and forget them."""
        running = int(self._wall // MINUTE)
        return self._take([minute for minute in self._open if minute != running])

    def take_all(self) -> list[Summary]:
        """Return all minutes, including the current one, and forget them."""
        return self._take(list(self._open))

    def peek(self) -> list[Summary]:
        """Return all minutes, including the current one, without forgetting them."""
        return [_summary(minute, sums) for minute, sums in self._open.items()]

    def forget(self) -> None:
        """Forget the sums; the current mood goes on."""
        self._open.clear()

    def _take(self, minutes: list[int]) -> list[Summary]:
        return [_summary(minute, self._open.pop(minute)) for minute in sorted(minutes)]

    def _add(self, minute: int, label: int, seconds: float) -> None:
        sums = self._open.setdefault(minute, [0.0] * (_FIRST_SCORE + len(EMOTIONS)))
        sums[label] += seconds
        if label < len(SEEN):
            for index, score in enumerate(self._scores, _FIRST_SCORE):
                sums[index] += score * seconds


def split_by_minute(begin: float, end: float) -> Iterator[tuple[int, float]]:
    """Split a span of time at the full minutes; yield each minute's number and its seconds."""
    while begin < end:
        minute = int(begin // MINUTE)
        until = min(end, (minute + 1) * MINUTE)
        yield minute, until - begin
        begin = until


def _summary(minute: int, sums: list[float]) -> Summary:
    return Summary(minute, tuple(sums[:_FIRST_SCORE]), tuple(sums[_FIRST_SCORE:]))


assert MOOD_LABELS[: len(SEEN)] == SEEN  # noqa: S101 - `Summary.seen` relies on it

"""How long a failing camera is tolerated. Pure: no clock, no camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenbox.settings.schema import CameraSettings

_MOST_DAMAGED = 100
"""Damaged pictures in a row after which a recording is reopened."""

_LONGEST = 10
"""The pause between reopenings doubles until it is this many times the first one."""

STEADY = 10.0
"""Seconds for which frames must come before a failure counts as a first one again."""


class Recovery:
    """Counts failures since the last good frame, and since frames last came steadily.

    Args:
        settings: How many of them are too many.

    """

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._misses = 0
        self.reopens = settings.reopens
        """How many reopenings may fail."""
        self.failures = 0
        """Openings in a row that failed or gave no frame."""
        self.relapses = 0
        """Openings in a row that failed or gave frames for less than `STEADY` seconds."""
        self._well_since: float | None = None

    @property
    def hopeless(self) -> bool:
        """Whether the limit of failed reopenings is reached; the first opening does not count."""
        return self.failures > self.reopens

    @property
    def pause(self) -> float:
        """Seconds to wait before the camera is opened again."""
        doublings = min(max(0, self.relapses - 1), _LONGEST)
        return self._settings.reopen_pause * min(1 << doublings, _LONGEST)

    def frame_came(self, now: float) -> None:
        """Record a good frame at time `now`, seconds: all is well again, if it lasts."""
        self._misses = self.failures = 0
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= STEADY:
            self.relapses = 0

    def frame_missed(self, *, damaged: bool = False) -> bool:
        """Record a read without a good frame; return whether the camera must be reopened.

        Args:
            damaged: It gave a damaged picture of a recording, which would start over if reopened:
                more of these are tolerated.

        """
        self._misses += 1
        if self._misses < (_MOST_DAMAGED if damaged else self._settings.misses):
            return False
        self.opening_failed()
        return True

    def opening_failed(self) -> None:
        """Record that the camera cannot be opened, or gives nothing once it is open."""
        self._misses = 0
        self.failures += 1
        self.relapses += 1
        self._well_since = None


class Pacer:
    """Picks frames from a camera that gives more than are looked at.

    Args:
        fps: Frames to look at per second.

    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._due: float | None = None

    def wants(self, time: float) -> bool:
        """Return whether the frame taken at `time` (seconds) is due.

        A frame may be a quarter of the period early, so that a camera that runs at just the wanted
        rate, if a little unevenly, loses none.
        """
        due = time if self._due is None else self._due
        if time < due - self._period / 4:
            return False
        self._due = max(due + self._period, time + self._period / 2)
        return True

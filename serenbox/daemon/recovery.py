"""How long a camera that fails is put up with. Pure: no clock, no camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenbox.settings.schema import CameraSettings

_MOST_DAMAGED = 100
"""Damaged pictures of a recording in a row."""

_LONGEST = 10
"""The pause between reopenings doubles up to this many times the first one."""

STEADY = 10.0
"""Seconds for which frames must come before a failure counts as the first one again."""


class Recovery:
    """Counts what went wrong since the last good frame, and since frames came for a while.

    Args:
        settings: How much of it is too much.

    """

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._misses = 0
        self.reopens = settings.reopens
        """How many reopenings may fail."""
        self.failures = 0
        """Openings in a row that failed or gave no frame."""
        self.relapses = 0
        """Openings in a row that failed or gave frames for less than `STEADY` seconds only."""
        self._well_since: float | None = None

    @property
    def hopeless(self) -> bool:
        """Whether as many reopenings failed as may: the first opening is not one of them."""
        return self.failures > self.reopens

    @property
    def pause(self) -> float:
        """Seconds to wait before the camera is opened again."""
        doublings = min(max(0, self.relapses - 1), _LONGEST)
        return self._settings.reopen_pause * min(1 << doublings, _LONGEST)

    def frame_came(self, now: float) -> None:
        """Take a good frame at that time, seconds: all is well again, if it lasts."""
        self._misses = self.failures = 0
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= STEADY:
            self.relapses = 0

    def frame_missed(self, *, damaged: bool = False) -> bool:
        """Take a read without a good frame; tell whether the camera must be opened again.

        Args:
            damaged: It is a picture of a recording, which would begin again when opened again: more
                of these are put up with.

        """
        self._misses += 1
        if self._misses < (_MOST_DAMAGED if damaged else self._settings.misses):
            return False
        self.opening_failed()
        return True

    def opening_failed(self) -> None:
        """Take a camera that cannot be opened, or gives nothing after it was."""
        self._misses = 0
        self.failures += 1
        self.relapses += 1
        self._well_since = None


class Pacer:
    """Picks frames of a camera that gives more than are looked at.

    Args:
        fps: Frames to look at per second.

    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._due: float | None = None

    def wants(self, time: float) -> bool:
        """Tell whether the frame of that time (seconds) is due.

        A frame a quarter of the period early is, so that a camera of just the wanted rate whose
        frames come a little unevenly loses none.
        """
        due = time if self._due is None else self._due
        if time < due - self._period / 4:
            return False
        self._due = max(due + self._period, time + self._period / 2)
        return True

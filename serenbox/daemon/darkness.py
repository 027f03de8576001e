"""Detects a picture that has gone black. Pure: the time comes with the frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenbox.cameras.base import Frame

_STEP = 32
"""Rows and columns from one checked pixel to the next: these pixels are enough."""

_BLACK = 16
"""The brightest level that counts as black: in video, black is 16 of 255."""

_LIGHT = 32
"""Only a pixel brighter than this ends the darkness: the noise of a sensor that sees nothing may
pass `_BLACK` every few seconds."""

_SECONDS = 2.0
"""How long it must last: a camera that has just been opened gives some black frames."""

_PAUSE = 0.5
"""Seconds between two checks: nothing here is urgent, and checking every frame would cost more than
all the steps from scores to a mood."""


class Darkness:
    """Reports once that the picture has gone black, and once that it is back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False
        self._looked = -math.inf

    def change(self, frame: Frame) -> bool | None:
        """Check a frame; return True if the picture goes black, False if it is back, else None."""
        if 0 <= frame.time - self._looked < _PAUSE:
            return None
        self._looked = frame.time
        # The middle row alone nearly always settles it.
        rows = frame.image[len(frame.image) // 2, ::_STEP], frame.image[::_STEP, ::_STEP]
        brightest = _LIGHT if self._told else _BLACK
        if any(int(pixels.max()) > brightest for pixels in rows):
            self._since = None
            if not self._told:
                return None
            self._told = False
            return False
        if self._since is None or frame.time < self._since:
            self._since = frame.time
        if self._told or frame.time - self._since < _SECONDS:
            return None
        self._told = True
        return True

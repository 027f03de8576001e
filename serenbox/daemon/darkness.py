"""Notices a picture that has gone black. Pure: the time comes with the frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenbox.cameras.base import Frame

_STEP = 32
"""Rows and columns from one pixel that is looked at to the next: these tell enough."""

_BLACK = 16
"""The brightest level of black, as in video, where black is 16 of 255."""

_SECONDS = 2.0
"""How long it must last: a camera that has just been opened is black for some frames."""

_PAUSE = 0.5
"""Seconds between two looks: nothing here is urgent, and a look at every frame would cost more than
the whole way from scores to a mood."""


class Darkness:
    """Tells once when the picture has gone black, and once when it has come back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False
        self._looked = -math.inf

    def change(self, frame: Frame) -> bool | None:
        """Take a frame; return True where the picture has gone black, False where it is back."""
        if 0 <= frame.time - self._looked < _PAUSE:
            return None
        self._looked = frame.time
        # One row in the middle settles it nearly always.
        rows = frame.image[len(frame.image) // 2, ::_STEP], frame.image[::_STEP, ::_STEP]
        if any(int(pixels.max()) > _BLACK for pixels in rows):
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

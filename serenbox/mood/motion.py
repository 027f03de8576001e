"""Whether a scene without faces is worth a look: cheap, so that an idle box stays idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from serenbox.cameras.base import Frame
    from serenbox.pixels import Pixels
    from serenbox.settings.schema import SensingSettings

_TINY = (32, 24)
"""Width and height of the pictures compared: each pixel averages enough to remove camera noise, and
a person who comes in still changes many of them."""


class MotionGate:
    """Lets frames pass while somebody is there, when something moves, and now and then anyway.

    A frame is compared with the last one that passed, so slow changes add up. Use it from one
    thread at a time.
    """

    def __init__(self, settings: SensingSettings) -> None:
        self._settings = settings
        self._tiny: Pixels | None = None
        self._shape: tuple[int, ...] = ()
        self._passed = 0.0

    def wants(self, frame: Frame, *, somebody: bool) -> bool:
        """Return whether to look for faces in a frame.

        Args:
            frame: The frame; passes if its size differs from that of the last one that passed.
            somebody: Whether somebody is there, as far as is known: then every frame passes.

        """
        if somebody or not self._settings.motion:
            self._tiny = None  # the first frame without faces passes, too
            return True
        tiny = _tiny(frame.image)
        same_shape = frame.image.shape == self._shape
        if self._tiny is not None and same_shape and not self._due(frame.time):
            # The sum of absolute differences, without a copy in a wider type.
            change = cv2.norm(tiny, self._tiny, cv2.NORM_L1) / tiny.size
            if change < self._settings.motion:
                return False
        self._tiny, self._shape, self._passed = tiny, frame.image.shape, frame.time
        return True

    def _due(self, time: float) -> bool:
        return time - self._passed >= self._settings.heartbeat


def _tiny(image: Pixels) -> Pixels:
    """Return the picture in grey, (24, 32) uint8, every pixel an average."""
    small = cv2.resize(image, _TINY, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]

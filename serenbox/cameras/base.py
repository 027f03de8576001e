"""The interface of every source of frames, and what all of them share."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from serenbox.errors import CameraError

if TYPE_CHECKING:
    from serenbox.pixels import Pixels

_PATIENCE = 5.0  # seconds that closing waits for a read to end
_OLDEST = 10.0  # seconds; a picture with an older stamp was stamped by another clock


@dataclass(frozen=True, slots=True, eq=False)  # whether pictures are equal has no single answer
class Frame:
    """One picture of a camera, in memory only."""

    image: Pixels
    """(height, width, 3) BGR, upright."""
    time: float
    """When it was taken: seconds on the clock of `time.monotonic`, or, from a recording that plays
    as fast as possible, seconds since its beginning. Never goes backwards."""


class Camera(Protocol):
    """An open source of frames. Use it from one thread; `close` may be called from another."""

    @property
    def name(self) -> str:
        """Its human-readable name, such as `USB camera /dev/video0`."""

    @property
    def live(self) -> bool:
        """Whether frames come by themselves.

        False for a recording that plays as fast as possible: none of its frames may be skipped for
        lack of time.
        """

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame, or None at the end of a recording that does not loop.

        Args:
            timeout: Maximum seconds to wait for it.

        Raises:
            CameraTimeoutError: No frame came in time.
            CameraError: The camera is gone, or what it gives is not a picture.

        """

    def close(self) -> None:
        """Release the camera; further calls do nothing."""


class CameraBase(ABC):
    """What all cameras share, so that each subclass only says where pictures come from.

    Here every picture is checked and turned upright, the times of frames are kept in order, and
    nothing is released while it is being read.

    Args:
        name: Its human-readable name.
        live: Whether frames come by themselves.
        rotate: Degrees to turn pictures clockwise: 0, 90, 180 or 270.

    """

    def __init__(self, name: str, *, live: bool = True, rotate: int = 0) -> None:
        self._name = name
        self._live = live
        self._rotate = rotate
        self._latest = -math.inf
        self._reading = threading.Lock()
        self._closing = threading.Event()
        self._released = False

    @property
    def name(self) -> str:
        """Its human-readable name."""
        return self._name

    @property
    def live(self) -> bool:
        """Whether frames come by themselves."""
        return self._live

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame; see `Camera.read`."""
        with self._reading:
            try:
                self._pause(0)
                taken = self._take(timeout)
            finally:
                self._release_if_closed()
        if taken is None:
            return None
        image, time = taken
        upright = turned(checked(image, self._name), self._rotate)
        self._latest = max(self._latest, time)
        return Frame(upright, self._latest)

    def close(self) -> None:
        """Release the camera once any read in progress ends; further calls do nothing.

        Waits for that read, but not for a driver that hangs: then the reader releases the camera.
        """
        self._closing.set()
        if self._reading.acquire(timeout=_PATIENCE):
            try:
                self._release_if_closed()
            finally:
                self._reading.release()

    def _release_if_closed(self) -> None:
        if self._closing.is_set() and not self._released:
            self._released = True
            self._release()

    def _pause(self, seconds: float) -> None:
        """Wait for that long, or raise CameraError as soon as the camera is closed."""
        if self._closing.wait(max(0.0, seconds)):
            raise CameraError(f"{self._name}: it is closed: open it again to read from it")

    @abstractmethod
    def _take(self, timeout: float) -> tuple[object, float] | None:
        """Return what the device gives next and its time; None at the end, errors as in `read`."""

    @abstractmethod
    def _release(self) -> None:
        """Release the device; called once."""


def checked(image: object, name: str) -> Pixels:
    """Return the image if it is a picture.

    Args:
        image: What a device gave.
        name: The device's name in messages.

    Raises:
        CameraError: It is not an array (height, width, 3) of uint8, or is empty.

    """
    if not isinstance(image, np.ndarray):
        found = "nothing" if image is None else f"a {type(image).__name__}"
    elif image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        found = f"an array of shape {image.shape} and type {image.dtype}"
    else:
        return image
    raise CameraError(
        f"{name}: it gave {found} instead of a colour picture: check its cable and its power, "
        "or try another size or source"
    )


def turned(image: Pixels, degrees: int) -> Pixels:
    """Return the picture turned clockwise.

    Args:
        image: (height, width, 3), uint8.
        degrees: 0, 90, 180 or 270.

    """
    if degrees == 0:
        return image
    import cv2

    code = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return np.asarray(cv2.rotate(image, code[degrees]), np.uint8)


def time_taken(stamp: float, now: float) -> float:
    """Return a device's own time of a picture if it can be true, else `now`.

    Drivers stamp pictures on the clock of `time.monotonic`, but some leave 0 or use another clock.

    Args:
        stamp: The device's time, seconds.
        now: `time.monotonic()`.

    """
    return stamp if 0 <= now - stamp <= _OLDEST else now

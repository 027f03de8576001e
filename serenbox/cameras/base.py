"""What every source of frames offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One picture of a camera, in memory only."""

    image: npt.NDArray[np.uint8]
    """(height, width, 3) BGR, upright."""
    time: float
    """When it was taken: seconds on the clock of `time.monotonic`, or, from a recording that plays
    as fast as possible, seconds since its beginning. Never goes backwards."""


class Camera(Protocol):
    """A source of frames that is open. Used from one thread, but `close` may come from another."""

    @property
    def name(self) -> str:
        """What a person would call it, such as `USB camera /dev/video0`."""

    @property
    def live(self) -> bool:
        """Whether frames come by themselves; of a recording none may be skipped for lack of time
        where it plays as fast as possible.
        """

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame, or None at the end of a recording that is not to be repeated.

        Args:
            timeout: Seconds to wait for it at most.

        Raises:
            CameraTimeoutError: None came in time.
            CameraError: The camera has gone or what it gives is no picture.

        """

    def close(self) -> None:
        """Release the camera; further calls do nothing."""

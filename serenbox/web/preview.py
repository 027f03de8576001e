"""The live preview: small pictures, a few a second, made only while somebody watches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.outputs.tap import Tap
    from serenbox.pixels import Pixels

VIEWERS = 2
"""Visitors who may watch at a time."""

LIMIT = 300.0
"""Seconds after which a preview ends by itself, so that nobody is watched by oversight."""

BOUNDARY = "picture"

_INTERVAL = 0.2
"""Minimum seconds between two pictures, on average."""

_LONGEST = 320
"""Maximum pixels of a picture's longer side: enough to see where the camera looks."""

_QUALITY = 70
"""JPEG quality, 0 to 100. At this size a picture has about ten kilobytes."""


class Preview:
    """Takes frames from the tap while it is on, and keeps only the newest, not yet encoded.

    `show` and `cut` are called in the sensing thread; all else belongs to the page's thread.

    Args:
        tap: Where the frames come from.
        wake: Called in the sensing thread when there is a frame; must not block.
        clock: Monotonic clock, in seconds.

    """

    def __init__(
        self, tap: Tap, wake: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tap = tap
        self._wake = wake
        self._clock = clock
        self._newest: Pixels | None = None
        self._due = 0.0

    @property
    def on(self) -> bool:
        """Whether frames are taken: from `turn_on` until `turn_off`, or until the tap is cut."""
        return self._tap.watcher is self

    def turn_on(self) -> None:
        """Take frames from now on."""
        self._newest = None
        self._due = self._clock()
        self._tap.watcher = self

    def turn_off(self) -> None:
        """Take no more frames, and forget the last one."""
        if self.on:
            self._tap.watcher = None
        self._newest = None

    def show(self, image: Pixels) -> None:
        """Take a frame if one is due; it replaces one that still waits."""
        now = self._clock()
        if now < self._due:
            return
        late = now - self._due
        self._due = (self._due if late < _INTERVAL else now) + _INTERVAL
        self._newest = image
        if not self.on:  # it was turned off meanwhile: keep nothing
            self._newest = None
        self._wake()

    def cut(self) -> None:
        """Forget the last frame, and wake the page's thread, as no other will come."""
        self._newest = None
        self._wake()

    def picture(self) -> bytes | None:
        """Return the newest frame as a part of a multipart answer, once; None if there is none."""
        image, self._newest = self._newest, None
        if image is None:
            return None
        data = as_jpeg(image)
        return part(data) if self.on else None  # meanwhile the camera may have been closed


def as_jpeg(image: Pixels) -> bytes:
    """Return the image, (height, width, 3) BGR, as a JPEG, scaled down if it is large."""
    import cv2

    height, width = image.shape[:2]
    scale = _LONGEST / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def part(data: bytes) -> bytes:
    """Return a JPEG as a part of a multipart answer (RFC 2046)."""
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"

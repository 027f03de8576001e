"""Network cameras: MJPEG over HTTP, RTSP, and whatever else FFmpeg reads from an address."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from serenbox.addresses import site
from serenbox.cameras.base import CameraBase
from serenbox.cameras.opencv import open_capture
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.rules import STREAM_SCHEMES

if TYPE_CHECKING:
    import cv2

    from serenbox.settings.schema import CameraSettings


def open_stream(address: str, settings: CameraSettings) -> StreamCamera:
    """Connect to a network camera.

    Args:
        address: Such as `http://camera.local:8080/video`. Messages and names repeat no more of it
            than scheme, host and port: some cameras take the login in the path.
        settings: `timeout` limits every wait for the network, and connecting, which gets at least
            5 seconds; `rotate` is used, too.

    Raises:
        CameraError: The address is wrong, nobody answers, or the answer is not a video.

    """
    scheme, colon, rest = address.partition("://")
    address = f"{scheme.lower()}{colon}{rest}"  # FFmpeg knows small letters only
    shown = site(address)
    if scheme.lower() not in STREAM_SCHEMES:
        raise CameraError(
            f"{shown}: addresses of this kind are not supported: "
            f"use one that begins with {', '.join(f'{scheme}://' for scheme in STREAM_SCHEMES)}"
        )
    import cv2

    limit = round(settings.timeout * 1000)
    options = (
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, max(limit, 5000)),  # connecting takes several round trips
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit),
        *(cv2.CAP_PROP_N_THREADS, 1),
    )
    capture = open_capture(address, cv2.CAP_FFMPEG, options)
    if capture is None:
        raise CameraError(
            f"{shown}: no video came from there: check the address in a player such as VLC "
            "and the user and password in it, and see with `sudo serenbox check` whether the "
            "service may reach it"
        )
    return StreamCamera(f"stream {shown}", capture, settings.timeout, settings.rotate)


class StreamCamera(CameraBase):
    """An open stream.

    It is read in its own thread, because OpenCV blocks and pictures that are not read at once pile
    up on the way; only the newest one is kept. Once the camera is closed, the thread ends within
    the time limit that the stream was opened with.

    Args:
        name: Its human-readable name.
        capture: Open, with a limit on its waiting; released with the camera.
        limit: That limit, seconds.
        rotate: Degrees to turn pictures clockwise.

    """

    def __init__(self, name: str, capture: cv2.VideoCapture, limit: float, rotate: int) -> None:
        super().__init__(name, rotate=rotate)
        self._capture = capture
        self._limit = limit
        self._changed = threading.Condition()
        self._newest: tuple[object, float] | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._receive, name="stream", daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        received = True
        while received and not self._closing.is_set():
            received, image = self._capture.read()
            with self._changed:
                if received:
                    self._newest = (image, time.monotonic())
                else:
                    self._ended = True
                self._changed.notify()
        self._capture.release()

    def _take(self, timeout: float) -> tuple[object, float] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._ended, timeout)
            newest, self._newest = self._newest, None
            if newest:
                return newest
            if self._ended:
                raise CameraError(
                    f"{self._name}: it has ended, or the network was silent for too long: "
                    "it must be opened again"
                )
        raise CameraTimeoutError(
            f"{self._name}: no picture came within {timeout:g} s: check the camera and the network"
        )

    def _release(self) -> None:
        self._thread.join(self._limit + 1.0)

"""USB cameras: Video4Linux devices, read through OpenCV."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from serenbox.cameras.base import CameraBase, time_taken
from serenbox.cameras.opencv import open_capture
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.system_text import text_of

if TYPE_CHECKING:
    import cv2

    from serenbox.settings.schema import CameraSettings

SLOWEST = 5.0
"""No camera is asked for fewer frames per second: exposures would smear, and reads time out."""

_VIDEO4LINUX = 81
"""The major number of Video4Linux devices (Linux's `admin-guide/devices.txt`)."""


class Capture(Protocol):
    """The part used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, object]:
        """Return whether a picture came, and the picture."""

    def get(self, propId: int) -> float:  # noqa: N803 - OpenCV's name
        """Return a property."""

    def release(self) -> None:
        """Close the device."""


def open_usb(device: Path, settings: CameraSettings) -> UsbCamera:
    """Open a camera and wait for its first picture, at most `timeout` plus a second.

    It is asked for MJPEG, which fits through USB 2 at any rate, for the size and rate in the
    settings, and to keep no more than one picture; cameras do what comes nearest.

    Args:
        device: Its node, such as `/dev/video0`.
        settings: `width`, `height`, `fps`, `timeout` and `rotate` are used.

    Raises:
        CameraError: It is missing, may not be opened, is in use, or gives no picture.

    """
    _check_node(device)
    import cv2

    capture = open_capture(str(device), cv2.CAP_V4L2, wait=settings.timeout)
    if capture is None:
        raise CameraError(_unusable(device))
    _adjust(capture, settings)
    descriptor = _descriptor(device)
    # Only the first read starts the camera, or makes the kernel say that it is in use.
    if descriptor is None or not _starts(capture):
        capture.release()
        raise CameraError(_unusable(device))
    return UsbCamera(f"USB camera {device}", capture, descriptor, settings.rotate)


class UsbCamera(CameraBase):
    """A camera that has started to give pictures.

    Args:
        name: Its human-readable name.
        capture: Open and running; released with the camera.
        descriptor: The file descriptor under which the capture has the device open.
        rotate: Degrees to turn pictures clockwise.

    """

    def __init__(self, name: str, capture: Capture, descriptor: int, rotate: int) -> None:
        super().__init__(name, rotate=rotate)
        self._capture = capture
        # OpenCV waits whole seconds for a frame, as many for every camera; this waits as asked.
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def _take(self, timeout: float) -> tuple[object, float] | None:
        import cv2

        ready = self._poll.poll(timeout * 1000)
        if not ready:
            raise CameraTimeoutError(
                f"{self._name}: no picture came within {timeout:g} s: "
                "it hangs; check its cable and its power"
            )
        try:
            received, image = self._capture.read() if ready[0][1] & select.POLLIN else (False, None)
        except cv2.error as error:  # for example an empty JPEG
            raise CameraError(
                f"{self._name}: it gave a picture that OpenCV cannot decode ({error.err}): "
                "check its cable and its power"
            ) from error
        if not received:
            raise CameraError(f"{self._name}: it has gone: plug it in again")
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return image, time_taken(stamp, time.monotonic())

    def _release(self) -> None:
        self._capture.release()


def users(device: Path) -> list[str]:
    """Name the other processes that have a device open, such as `motion (process 123)`.

    Without root only those of the same user can be seen.
    """
    found = []
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        if folder.name != str(os.getpid()) and _has_open(folder, device):
            name = text_of(folder / "comm")
            found += [f"{name} (process {folder.name})"] if name else []  # else it has just ended
    return found


def _has_open(process: Path, device: Path) -> bool:
    target = os.path.realpath(device)
    try:
        return any(os.path.realpath(link) == target for link in (process / "fd").iterdir())
    except OSError:  # ended, or another user's
        return False


def _check_node(device: Path) -> None:
    try:
        mode = device.stat().st_mode
    except OSError:
        raise CameraError(
            f"{device}: there is no such camera: plug it in, or see `ls /dev/video*`"
        ) from None
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{device}: it is not a device: name one that `ls /dev/video*` lists")
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(
            f"{device}: this user may not open it: run `sudo usermod -aG video $USER` and log in "
            "again; for the service, run `sudo serenbox check`"
        )


def _adjust(capture: cv2.VideoCapture, settings: CameraSettings) -> None:
    import cv2

    # The format first: it decides which sizes and rates there are.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
    capture.set(cv2.CAP_PROP_FPS, max(settings.fps, SLOWEST))
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)


def _starts(capture: Capture) -> bool:
    """Return whether a first picture comes; it may be damaged, as first ones often are."""
    import cv2

    try:
        return capture.read()[0]
    except cv2.error:
        return True


def _unusable(device: Path) -> str:
    with contextlib.suppress(OSError):  # unplugged meanwhile
        if os.major(device.stat().st_rdev) != _VIDEO4LINUX:
            return f"{device}: it is not a camera: name one that `ls /dev/video*` lists"
    others = users(device)
    if others:
        return f"{device}: the camera is taken by {', '.join(others)}: stop that, or name another"
    return (
        f"{device}: it gives no pictures: it is not a camera, it hangs, or another user's program "
        f"has it (`sudo fuser -v {device}` shows which)"
    )


def _descriptor(device: Path) -> int | None:
    """Find the descriptor under which OpenCV, which does not reveal it, has the device open."""
    target = os.path.realpath(device)
    for link in Path("/proc/self/fd").iterdir():
        if os.path.realpath(link) == target:
            return int(link.name)
    return None

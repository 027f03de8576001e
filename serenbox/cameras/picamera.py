"""Raspberry Pi cameras, through picamera2."""

from __future__ import annotations

import contextlib
import gc
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from serenbox.cameras.base import CameraBase, time_taken
from serenbox.cameras.listing import import_picamera2, pi_cameras
from serenbox.cameras.usb import SLOWEST
from serenbox.errors import CameraError, CameraTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serenbox.pixels import Pixels
    from serenbox.settings.schema import CameraSettings

_BUFFERS = 3  # one being filled, one waiting, one being read; each is contiguous memory, and scarce

# libcamera names the bytes of a pixel from the last to the first: RGB888 is B, G, R in memory.
_PACKED = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4}
_PLANAR = {
    "YUV420": "COLOR_YUV2BGR_I420",
    "YVU420": "COLOR_YUV2BGR_YV12",
    "NV12": "COLOR_YUV2BGR_NV12",
    "NV21": "COLOR_YUV2BGR_NV21",
}
"""OpenCV's names for the conversions to BGR; only names, since OpenCV is imported late."""


class Request(Protocol):
    """The part used of picamera2's `CompletedRequest`: a picture in the camera's own memory."""

    def get_metadata(self) -> dict[str, Any]:
        """Return what the camera reports about it."""

    def release(self) -> None:
        """Give the memory back to the camera."""


class Job(Protocol):
    """The part used of picamera2's `Job`."""

    def get_result(self, timeout: float) -> Request:
        """Wait for it; raise TimeoutError or CancelledError if it does not come."""


class Device(Protocol):
    """The part used of `Picamera2`."""

    sensor_resolution: tuple[int, int]
    camera_controls: Mapping[str, Any]

    def create_video_configuration(self, **wishes: object) -> dict[str, Any]:
        """Make a configuration."""

    def capture_request(self, *, wait: bool) -> Job:
        """Ask for a picture."""

    def cancel_all_and_flush(self) -> None:
        """Cancel all requests."""

    def close(self) -> None:
        """Stop and release the camera."""


if TYPE_CHECKING:

    class Mapped(Protocol):
        """The part used of a `MappedArray`."""

        array: Pixels

    Mapper = Callable[..., contextlib.AbstractContextManager[Mapped]]


def open_pi(number: int, settings: CameraSettings) -> PiCamera:
    """Open and start a Raspberry Pi camera, with one stream in the size of the settings.

    Args:
        number: Which of those connected, from 0.
        settings: `width`, `height`, `fps` and `rotate` are used.

    Raises:
        CameraError: picamera2 is not installed, the camera is missing or in use, or it cannot do
            what is asked.

    """
    names = {camera.source: camera.name for camera in pi_cameras()}
    name = names.get(f"pi:{number}")
    if name is None:
        raise CameraError(
            f"there is no Raspberry Pi camera {number} (found: {', '.join(names) or 'none'}): "
            "switch the Pi off and check the ribbon cable, then see `rpicam-hello --list-cameras`"
        )
    title = f"Raspberry Pi camera {number} ({name})"
    picamera2 = import_picamera2()
    device = None
    try:
        device = picamera2.Picamera2(number)
        device.configure(_configuration(device, settings))
        device.start()
        stream = device.camera_configuration()["main"]
    except Exception as error:  # picamera2 passes on whatever libcamera raises
        if device is not None:
            with contextlib.suppress(Exception):  # the first error is the one that matters
                device.close()
        raise CameraError(
            f"{title} does not start ({error.__cause__ or error}): stop other programs that use "
            "it, or try the width 640 and the height 480"
        ) from error
    return PiCamera(title, device, stream, picamera2.MappedArray, settings.rotate)


class PiCamera(CameraBase):
    """A started camera.

    Args:
        name: Its human-readable name.
        device: The `Picamera2`; closed with the camera.
        stream: What it really delivers: `format`, `size` and `stride` of its configuration.
        mapped: picamera2's `MappedArray`.
        rotate: Degrees to turn pictures clockwise.

    """

    def __init__(
        self, name: str, device: Device, stream: Mapping[str, Any], mapped: Mapper, rotate: int
    ) -> None:
        super().__init__(name, rotate=rotate)
        self._device = device
        self._mapped = mapped
        self._format = str(stream["format"])
        self._size: tuple[int, int] = tuple(stream["size"])
        self._stride = int(stream["stride"])

    def _take(self, timeout: float) -> tuple[object, float] | None:
        try:
            return self._capture(timeout)
        except CameraError:
            raise
        except Exception as error:  # picamera2 passes on whatever libcamera raises
            raise CameraError(
                f"{self._name}: it failed ({error}): check the ribbon cable"
            ) from error

    def _capture(self, timeout: float) -> tuple[Pixels, float]:
        request = self._next_request(timeout)
        try:
            stamp = request.get_metadata().get("SensorTimestamp", 0) / 1e9
            # The camera's own memory, without a copy: it must be converted before the release.
            with self._mapped(request, "main", reshape=False, write=False) as buffer:
                image = to_bgr(buffer.array, self._format, self._size, self._stride)
        finally:
            request.release()
        return image, time_taken(stamp, time.monotonic())

    def _next_request(self, timeout: float) -> Request:
        job = self._device.capture_request(wait=False)
        try:
            return job.get_result(timeout=timeout)
        except TimeoutError:
            # Otherwise it would take one of the few buffers later, and nobody would release it.
            self._device.cancel_all_and_flush()
        try:
            return job.get_result(timeout=timeout)  # it may have finished at the last moment
        except (CancelledError, TimeoutError):
            raise CameraTimeoutError(
                f"{self._name}: no picture came within {timeout:g} s: "
                "it hangs; check the ribbon cable and the power supply"
            ) from None

    def _release(self) -> None:
        with contextlib.suppress(Exception):  # a camera that has died cannot be closed properly
            self._device.close()
        del self._device
        gc.collect()  # reference cycles keep it alive, and with it the camera's scarce memory


def to_bgr(buffer: Pixels, pixel_format: str, size: tuple[int, int], stride: int) -> Pixels:
    """Convert a libcamera buffer into a picture with its own memory.

    Args:
        buffer: Its bytes in order, uint8; bytes beyond those needed are ignored.
        pixel_format: RGB888, BGR888, XRGB8888, XBGR8888, YUV420, YVU420, NV12 or NV21, as libcamera
            means them. YUV is BT.601 in video range, as libcamera makes it for small videos.
        size: Width and height, pixels; even for YUV.
        stride: Bytes from one row of the first plane to the next; rows may be padded.

    Returns:
        (height, width, 3) BGR.

    Raises:
        CameraError: The format is none of these, or the buffer is too small.

    """
    width, height = size
    planar = pixel_format in _PLANAR
    if not planar and pixel_format not in _PACKED:
        raise CameraError(
            f"the camera gives {pixel_format}, which is not supported: "
            f"it must be one of {', '.join((*_PACKED, *_PLANAR))}"
        )
    rows = height * 3 // 2 if planar else height
    if buffer.size < rows * stride:
        raise CameraError(
            f"the camera gave {buffer.size} bytes instead of {rows * stride}: "
            "check its cable and its power"
        )
    plane = buffer.reshape(-1)[: rows * stride].reshape(rows, stride)
    if not planar:
        depth = _PACKED[pixel_format]
        pixels = plane[:, : width * depth].reshape(height, width, depth)
        blue_first = pixels[:, :, :3] if "RGB" in pixel_format else pixels[:, :, 2::-1]
        return np.array(blue_first, order="C")
    import cv2

    # The padding is converted, too, and then cut off: the chroma planes are padded likewise.
    picture = cv2.cvtColor(plane, getattr(cv2, _PLANAR[pixel_format]))
    return np.ascontiguousarray(picture[:, :width], np.uint8)


def _configuration(device: Device, settings: CameraSettings) -> dict[str, Any]:
    interval = round(1e6 / max(settings.fps, SLOWEST))
    limits = {"FrameDurationLimits": (interval, interval)}
    wide, high = device.sensor_resolution
    return device.create_video_configuration(
        main={"size": (settings.width // 2 * 2, settings.height // 2 * 2), "format": "RGB888"},
        # By default libcamera takes the sensor mode nearest in size, and the small modes see only
        # the middle of the scene; half the resolution is the whole scene, binned.
        raw={"size": (wide // 4 * 2, high // 4 * 2)},
        buffer_count=_BUFFERS,
        controls={name: limits[name] for name in limits if name in device.camera_controls},
        display=None,
        encode=None,
        queue=False,  # current pictures, none kept from before
    )

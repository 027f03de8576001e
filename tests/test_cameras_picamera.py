"""Raspberry Pi cameras: real conversions of made-up buffers, and a stand-in for picamera2."""

from __future__ import annotations

import sys
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.cameras.listing import pi_cameras
from serenbox.cameras.picamera import open_pi, to_bgr
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """A picture whose channels differ, so that none can be mistaken for another."""
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH]
    channels = (down * 2, right * 2, 200 - down - right)
    return np.stack(channels, axis=2).astype(np.uint8)


def planes(picture: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Return Y, and U and V at half the size."""
    rows = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).reshape(-1).astype(np.uint8)
    y, u, v = np.split(rows, [WIDTH * HEIGHT, WIDTH * HEIGHT * 5 // 4])
    half = (HEIGHT // 2, WIDTH // 2)
    return y.reshape(HEIGHT, WIDTH), u.reshape(half), v.reshape(half)


def padded(plane: Pixels, stride: int) -> Pixels:
    """Append noise to every row, and return the bytes in order."""
    rows = plane.reshape(len(plane), -1)
    noise = np.random.default_rng(0).integers(0, 256, (len(rows), stride - rows.shape[1]), np.uint8)
    return np.hstack([rows, noise]).reshape(-1)


def encode(picture: Pixels, pixel_format: str, stride: int) -> Pixels:
    """Lay a picture out in memory as libcamera does."""
    blue, green, red = np.moveaxis(picture, 2, 0)
    spare = np.full_like(blue, 77)
    packed = {
        "RGB888": (blue, green, red),
        "BGR888": (red, green, blue),
        "XRGB8888": (blue, green, red, spare),
        "XBGR8888": (red, green, blue, spare),
    }
    if pixel_format in packed:
        return padded(np.stack(packed[pixel_format], axis=2), stride)
    y, u, v = planes(picture)
    if pixel_format in {"YUV420", "YVU420"}:
        first, second = (u, v) if pixel_format == "YUV420" else (v, u)
        chroma = [padded(first, stride // 2), padded(second, stride // 2)]
    else:
        pair = (u, v) if pixel_format == "NV12" else (v, u)
        chroma = [padded(np.stack(pair, axis=2), stride)]
    return np.concatenate([padded(y, stride), *chroma])


@pytest.mark.parametrize("padding", [0, 32])
@pytest.mark.parametrize(("pixel_format", "depth"), [("RGB888", 3), ("BGR888", 3)])
@pytest.mark.parametrize("spare", [0, 1])
def test_packed_pixels_come_out_as_they_are(
    picture: Pixels, pixel_format: str, depth: int, spare: int, padding: int
) -> None:
    if spare:
        pixel_format = f"X{pixel_format}8"
    stride = WIDTH * (depth + spare) + padding
    buffer = encode(picture, pixel_format, stride)
    image = to_bgr(buffer, pixel_format, (WIDTH, HEIGHT), stride)
    assert np.array_equal(image, picture)
    assert image.flags.c_contiguous
    assert not np.shares_memory(image, buffer)  # the camera will write into the buffer again


@pytest.mark.parametrize("padding", [0, 32])
@pytest.mark.parametrize("pixel_format", ["YUV420", "YVU420", "NV12", "NV21"])
def test_planes_come_out_in_their_colours(picture: Pixels, pixel_format: str, padding: int) -> None:
    stride = WIDTH + padding
    buffer = encode(picture, pixel_format, stride)
    image = to_bgr(buffer, pixel_format, (WIDTH, HEIGHT), stride)
    assert image.shape == picture.shape
    assert image.flags.c_contiguous
    # Colour at half the resolution costs a little; swapped or shifted planes would cost tens.
    assert np.abs(image.astype(int) - picture).mean() < 5
    assert not np.shares_memory(image, buffer)


def test_a_buffer_may_be_longer_and_of_any_shape(picture: Pixels) -> None:
    buffer = np.concatenate([encode(picture, "RGB888", WIDTH * 3), np.zeros(1000, np.uint8)])
    assert np.array_equal(to_bgr(buffer, "RGB888", (WIDTH, HEIGHT), WIDTH * 3), picture)
    rows = buffer[: WIDTH * HEIGHT * 3].reshape(HEIGHT, -1)
    assert np.array_equal(to_bgr(rows, "RGB888", (WIDTH, HEIGHT), WIDTH * 3), picture)


def test_what_cannot_be_read_is_told() -> None:
    with pytest.raises(CameraError, match="gives MJPEG, which is not supported"):
        to_bgr(np.zeros(100, np.uint8), "MJPEG", (4, 4), 4)
    with pytest.raises(CameraError, match="gave 100 bytes instead of 6144"):
        to_bgr(np.zeros(100, np.uint8), "NV12", (64, 64), 64)


class FakeRequest:
    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        device.lent += 1

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": int(self.device.stamp * 1e9)}

    def release(self) -> None:
        self.device.lent -= 1


class FakeJob:
    def __init__(self, device: FakeDevice) -> None:
        self.device = device

    def get_result(self, timeout: float) -> FakeRequest:
        assert 0 < timeout < 60
        if self.device.fault == "cancelled":
            raise CancelledError
        if self.device.fault in {"frozen", "late"}:
            raise TimeoutError
        if self.device.fault == "dead":
            raise RuntimeError("camera frontend has timed out")
        return FakeRequest(self.device)


class FakeDevice:
    """Behaves like `Picamera2` on libcamera's virtual camera: NV12 whatever is asked for."""

    made: ClassVar[list[FakeDevice]] = []
    sensor_resolution = (3280, 2464)
    camera_controls: ClassVar[dict[str, object]] = {"FrameDurationLimits": (1, 2, 3)}
    start_error = ""
    infos: ClassVar[list[dict[str, Any]]] = [
        {"Model": "imx219", "Id": "/base/soc/i2c0mux/i2c@1/imx219@10", "Num": 0},
        {"Model": "webcam", "Id": "/base/scb/pcie@7d500000/usb@0,0-1:1.0-046d:0825", "Num": 1},
    ]

    def __init__(self, number: int) -> None:
        self.number = number
        self.fault = ""
        self.lent = 0
        self.stamp = 0.0
        self.closed = False
        self.wishes: dict[str, Any] = {}
        self.buffer = np.zeros(0, np.uint8)
        self.made.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return cls.infos

    def create_video_configuration(self, **wishes: object) -> dict[str, Any]:
        self.wishes = wishes
        return wishes

    def configure(self, configuration: dict[str, Any]) -> None:
        assert configuration is self.wishes

    def start(self) -> None:
        if self.start_error:
            raise RuntimeError(self.start_error)

    def camera_configuration(self) -> dict[str, Any]:
        return {"main": {"format": "NV12", "size": (WIDTH, HEIGHT), "stride": WIDTH + 32}}

    def capture_request(self, *, wait: bool) -> FakeJob:
        assert wait is False
        return FakeJob(self)

    def cancel_all_and_flush(self) -> None:
        self.fault = "" if self.fault == "late" else "cancelled"

    def close(self) -> None:
        self.closed = True


@contextmanager
def mapped(request: FakeRequest, stream: str, **options: bool) -> Iterator[SimpleNamespace]:
    assert (stream, options) == ("main", {"reshape": False, "write": False})
    yield SimpleNamespace(array=request.device.buffer)


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakeDevice]:
    module = ModuleType("picamera2")
    monkeypatch.setattr(module, "Picamera2", FakeDevice, raising=False)
    monkeypatch.setattr(module, "MappedArray", mapped, raising=False)
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(FakeDevice, "made", [])
    return FakeDevice


def test_frames_come_in_the_format_that_the_camera_really_gives(
    picamera2: type[FakeDevice], picture: Pixels
) -> None:
    camera = open_pi(0, CameraSettings(rotate=180))
    assert camera.name == "Raspberry Pi camera 0 (imx219)"
    (device,) = picamera2.made
    device.buffer = encode(picture, "NV12", WIDTH + 32)
    device.stamp = time.monotonic() - 0.05
    frame = camera.read(2)
    assert frame is not None
    assert np.abs(frame.image.astype(int) - picture[::-1, ::-1]).mean() < 5
    assert frame.time == pytest.approx(device.stamp)
    assert device.lent == 0
    camera.close()
    assert device.closed


def test_the_camera_is_asked_for_little_memory_and_the_whole_scene(
    picamera2: type[FakeDevice],
) -> None:
    open_pi(0, CameraSettings(width=641, height=480, fps=10))
    wishes = picamera2.made[0].wishes
    assert wishes["main"]["size"] == (640, 480)
    assert wishes["raw"]["size"] == (1640, 1232)
    assert wishes["buffer_count"] <= 3
    assert wishes["controls"] == {"FrameDurationLimits": (100_000, 100_000)}


def test_a_frozen_camera_times_out(picamera2: type[FakeDevice]) -> None:
    camera = open_pi(0, CameraSettings())
    (device,) = picamera2.made
    device.fault = "frozen"
    with pytest.raises(CameraTimeoutError, match=r"within 0\.1 s"):
        camera.read(0.1)
    assert device.fault == "cancelled"  # no request is left that would take a buffer
    assert device.lent == 0


def test_a_picture_of_the_last_moment_is_not_lost(
    picamera2: type[FakeDevice], picture: Pixels
) -> None:
    camera = open_pi(0, CameraSettings())
    (device,) = picamera2.made
    device.buffer = encode(picture, "NV12", WIDTH + 32)
    device.fault = "late"
    assert camera.read(0.1) is not None
    assert device.lent == 0


def test_garbage_gives_its_buffer_back(picamera2: type[FakeDevice]) -> None:
    camera = open_pi(0, CameraSettings())
    with pytest.raises(CameraError, match="0 bytes"):
        camera.read(0.1)
    assert picamera2.made[0].lent == 0


def test_a_dead_camera_is_an_error(picamera2: type[FakeDevice]) -> None:
    camera = open_pi(0, CameraSettings())
    picamera2.made[0].fault = "dead"
    with pytest.raises(CameraError, match="camera frontend has timed out"):
        camera.read(0.1)


def test_a_camera_that_does_not_start_is_closed(
    picamera2: type[FakeDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picamera2, "start_error", "Device or resource busy")
    with pytest.raises(CameraError, match=r"does not start .*Device or resource busy"):
        open_pi(0, CameraSettings())
    assert picamera2.made[0].closed


@pytest.mark.usefixtures("picamera2")
def test_usb_cameras_are_no_pi_cameras() -> None:
    assert [(camera.source, camera.name) for camera in pi_cameras()] == [("pi:0", "imx219")]
    with pytest.raises(CameraError, match=r"no Raspberry Pi camera 1 \(found: pi:0\)"):
        open_pi(1, CameraSettings())


def test_a_missing_or_broken_picamera2_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match="apt install python3-picamera2"):
        open_pi(0, CameraSettings())

"""USB cameras: a pipe stands in for the device, so the waiting is real though the camera is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.cameras import usb
from serenbox.cameras.usb import UsbCamera, open_usb, users
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


EMPTY = b"\xff"
"""What stands for a JPEG without a single byte."""


class PipeCapture:
    """A capture whose pictures come through a pipe: a byte for each, its grey level or `EMPTY`."""

    def __init__(self) -> None:
        self.output, self.input = os.pipe()
        self.stamp = 0.0
        self.released = False

    def read(self) -> tuple[bool, object]:
        level = os.read(self.output, 1)
        if level == EMPTY:
            cv2.imdecode(np.zeros(0, np.uint8), cv2.IMREAD_COLOR)  # raises, as it does in a capture
        return bool(level), np.full((48, 64, 3), level[0] if level else 0, np.uint8)

    def get(self, propId: int) -> float:  # noqa: ARG002, N803 - OpenCV's name
        return self.stamp

    def release(self) -> None:
        self.released = True


class TerminalCapture(PipeCapture):
    """The same through a pseudo-terminal, which like a camera is a character device."""

    def __init__(self) -> None:
        self.input, self.output = os.openpty()
        tty.setraw(self.output)
        self.device = Path(os.ttyname(self.output))
        self.stamp = 0.0
        self.released = False
        self.wishes: dict[int, float] = {}

    def set(self, name: int, value: float) -> bool:
        self.wishes[name] = value
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TerminalCapture]:
    made = TerminalCapture()
    monkeypatch.setattr(usb, "open_capture", lambda *_, **__: made)
    yield made
    os.close(made.output)
    os.close(made.input)


@pytest.fixture
def capture() -> Iterator[PipeCapture]:
    made = PipeCapture()
    yield made
    os.close(made.output)
    if made.input >= 0:
        os.close(made.input)


def test_a_picture_comes_as_soon_as_it_is_there(capture: PipeCapture) -> None:
    camera = UsbCamera("usb", capture, capture.output, 0)
    os.write(capture.input, b"\x00")
    frame = camera.read(30)
    assert frame is not None
    assert not frame.image.any()  # a black picture is a picture
    camera.close()
    assert capture.released


def test_the_time_is_the_drivers_where_it_can_be(capture: PipeCapture) -> None:
    camera = UsbCamera("usb", capture, capture.output, 0)
    begin = time.monotonic()
    capture.stamp = (begin - 0.5) * 1000
    os.write(capture.input, b"\x01\x02")
    frame = camera.read(30)
    assert frame is not None
    assert frame.time == pytest.approx(begin - 0.5)
    capture.stamp = 0
    frame = camera.read(30)
    assert frame is not None
    assert frame.time >= begin


def test_a_frozen_camera_times_out_and_may_recover(capture: PipeCapture) -> None:
    camera = UsbCamera("usb", capture, capture.output, 0)
    begin = time.monotonic()
    with pytest.raises(CameraTimeoutError, match=r"within 0\.1 s"):
        camera.read(0.1)
    assert time.monotonic() - begin >= 0.1
    os.write(capture.input, b"\x07")
    assert camera.read(30) is not None


def test_an_empty_picture_is_one_failed_read(capture: PipeCapture) -> None:
    camera = UsbCamera("webcam", capture, capture.output, rotate=0)
    os.write(capture.input, EMPTY + b"\x10")
    with pytest.raises(CameraError, match=r"webcam: it gave a picture .* cannot decode \(.+\): "):
        camera.read(1)
    frame = camera.read(1)
    assert frame
    assert frame.image[0, 0, 0] == 16


def test_an_empty_first_picture_shows_that_the_camera_works(terminal: TerminalCapture) -> None:
    os.write(terminal.input, EMPTY + b"\x10")
    camera = open_usb(terminal.device, CameraSettings())
    frame = camera.read(1)
    assert frame
    assert frame.image[0, 0, 0] == 16
    camera.close()


def test_an_unplugged_camera_is_an_error_at_once(capture: PipeCapture) -> None:
    camera = UsbCamera("usb", capture, capture.output, 0)
    os.close(capture.input)
    capture.input = -1
    with pytest.raises(CameraError, match="has gone") as raised:
        camera.read(3600)
    assert not isinstance(raised.value, CameraTimeoutError)


def test_opening_asks_for_little_and_waits_for_a_first_picture(terminal: TerminalCapture) -> None:
    os.write(terminal.input, b"\x01\x02")
    camera = open_usb(terminal.device, CameraSettings(width=320, height=240, fps=0.5))
    assert camera.name == f"USB camera {terminal.device}"
    assert terminal.wishes[cv2.CAP_PROP_FRAME_WIDTH] == 320
    assert terminal.wishes[cv2.CAP_PROP_FRAME_HEIGHT] == 240
    assert terminal.wishes[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert terminal.wishes[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert terminal.wishes[cv2.CAP_PROP_FPS] == 5  # at 0.5 every read would time out
    frame = camera.read(30)
    assert frame is not None
    assert frame.image[0, 0, 0] == 2
    with pytest.raises(CameraTimeoutError):  # it waits for the device that OpenCV has open
        camera.read(0.05)


def test_a_camera_without_a_first_picture_is_released(
    terminal: TerminalCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "read", lambda: (False, None))
    with pytest.raises(CameraError, match=str(terminal.device)):
        open_usb(terminal.device, CameraSettings())
    assert terminal.released


def test_who_has_the_camera_is_told(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    assert users(device) == []
    code = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(device)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        (user,) = users(device)
        other.communicate()
    assert f"(process {other.pid})" in user
    assert user.startswith("python")
    with device.open():
        assert users(device) == []  # this process itself does not count


def test_what_is_no_camera_is_told(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"video7: there is no such camera"):
        open_usb(tmp_path / "video7", CameraSettings())
    (tmp_path / "file").touch()
    with pytest.raises(CameraError, match="it is not a device"):
        open_usb(tmp_path / "file", CameraSettings())
    with pytest.raises(CameraError, match=r"null: it is not a camera: name one that"):
        open_usb(Path("/dev/null"), CameraSettings())

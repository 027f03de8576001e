"""Opening a camera by the name of its source, and listing the cameras there are."""

from __future__ import annotations

import json
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.cameras import listing
from serenbox.cameras.base import CameraBase
from serenbox.cameras.listing import CameraInfo, usb_cameras
from serenbox.cameras.recording import Recording
from serenbox.cameras.scripted import ScriptedCamera
from serenbox.cameras.select import open_camera
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from pathlib import Path


def node(sysfs: Path, name: str, place: str, index: int, model: str) -> None:
    """Describe a video node as the kernel does: by a link to its device."""
    device = sysfs.parent / "devices" / place / "video4linux" / name
    device.mkdir(parents=True)
    (device / "index").write_text(f"{index}\n")
    (device / "name").write_text(f"{model}\n")
    (sysfs / name).symlink_to(device)


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A Pi's nodes with two USB cameras and a loop-back camera."""
    folder = tmp_path / "class"
    folder.mkdir()
    node(folder, "video0", "platform/axi/1000120000.pcie/usb1/1-1/1-1:1.0", 0, "HD Webcam")
    node(folder, "video1", "platform/axi/1000120000.pcie/usb1/1-1/1-1:1.0", 1, "HD Webcam")
    node(folder, "video2", "platform/axi/1000120000.pcie/usb1/1-2/1-2:1.0", 0, "Other Webcam")
    node(folder, "video10", "platform/soc/fe00b840.mailbox/bcm2835-codec", 0, "bcm2835-codec")
    node(folder, "video12", "virtual", 0, "Loopback")
    node(folder, "video20", "platform/soc/unicam", 0, "unicam-image")
    return folder


def test_usb_cameras_are_told_from_a_pis_other_nodes(sysfs: Path) -> None:
    assert usb_cameras(sysfs) == [
        CameraInfo("/dev/video0", "HD Webcam"),
        CameraInfo("/dev/video2", "Other Webcam"),
        CameraInfo("/dev/video12", "Loopback"),
    ]


def test_without_video_there_are_no_cameras(tmp_path: Path) -> None:
    assert usb_cameras(tmp_path / "missing") == []


def test_a_script_and_a_folder_are_opened(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"steps": [{"black": 1}]}))
    with_script = open_camera(CameraSettings(source=f"scripted:{script}"))
    assert isinstance(with_script, ScriptedCamera)
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    with_folder = open_camera(CameraSettings(source=str(tmp_path)))
    assert isinstance(with_folder, Recording)


def test_a_folder_in_the_memory_of_dev_is_no_device() -> None:
    with TemporaryDirectory(dir="/dev/shm") as folder:
        cv2.imwrite(f"{folder}/1.png", np.zeros((8, 8, 3), np.uint8))
        assert isinstance(open_camera(CameraSettings(source=folder)), Recording)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.mp4", "nothing.mp4: there is no such video, folder or device"),
        ("~nobody-of-that-name/a.mp4", "there is no such user here: check camera.source"),
        ("/dev/video99", "/dev/video99: there is no such camera"),
        ("pi:left", "cameras are numbered"),
        ("pi:²", "cameras are numbered"),
        ("gopher://box", "addresses of this kind are not supported"),
        ("scripted:nothing.json", "nothing.json: the script cannot be read"),
        ("", "camera.source is empty"),
    ],
)
def test_what_cannot_be_opened_is_told(source: str, said: str) -> None:
    with pytest.raises(CameraError, match=said):
        open_camera(CameraSettings(source=source))


class Still(CameraBase):
    """Gives the same picture for ever, or always times out."""

    def __init__(self, name: str, *, frozen: bool = False) -> None:
        super().__init__(name)
        self.frozen = frozen
        self.closed = False

    def _take(self, timeout: float) -> tuple[object, float] | None:
        if self.frozen:
            raise CameraTimeoutError(f"no picture within {timeout:g} s")
        return np.zeros((2, 2, 3), np.uint8), 0.0

    def _release(self) -> None:
        self.closed = True


class Cameras:
    """Two Raspberry Pi cameras and the USB cameras of `sysfs`, none of them real."""

    def __init__(self, sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frozen: set[str] = set()
        self.taken: set[str] = set()
        self.opened: list[Still] = []
        usb = usb_cameras(sysfs)
        pi = [CameraInfo("pi:0", "imx219"), CameraInfo("pi:1", "imx708")]
        monkeypatch.setattr(listing, "usb_cameras", lambda: usb)
        monkeypatch.setattr(listing, "pi_cameras", lambda: pi)
        monkeypatch.setattr(
            "serenbox.cameras.picamera.open_pi", lambda number, _: self.open(f"pi:{number}")
        )
        monkeypatch.setattr("serenbox.cameras.usb.open_usb", lambda node, _: self.open(str(node)))

    def open(self, source: str) -> Still:
        if source in self.taken:
            raise CameraError(f"{source}: taken by motion")
        self.opened.append(Still(source, frozen=source in self.frozen))
        return self.opened[-1]


@pytest.fixture
def cameras(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> Cameras:
    return Cameras(sysfs, monkeypatch)


def test_auto_takes_the_first_that_gives_a_picture(cameras: Cameras) -> None:
    assert open_camera(CameraSettings()).name == "pi:0"
    cameras.frozen |= {"pi:0", "pi:1", "/dev/video2"}
    cameras.taken |= {"/dev/video0"}
    cameras.opened.clear()
    assert open_camera(CameraSettings()).name == "/dev/video12"
    tried = [(camera.name, camera.closed) for camera in cameras.opened]
    assert tried == [("pi:0", True), ("pi:1", True), ("/dev/video2", True), ("/dev/video12", False)]


def test_auto_tells_what_is_wrong_with_every_camera(cameras: Cameras) -> None:
    cameras.taken |= {"pi:0", "/dev/video0", "/dev/video2", "/dev/video12"}
    cameras.frozen |= {"pi:1"}
    with pytest.raises(CameraError) as told:
        open_camera(CameraSettings())
    assert str(told.value) == (
        "no working camera was found (tried pi:0, pi:1, /dev/video0, /dev/video2, /dev/video12): "
        "pi:0: taken by motion; no picture within 5 s; /dev/video0: taken by motion; "
        "/dev/video2: taken by motion; /dev/video12: taken by motion"
    )


def test_auto_says_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setattr(listing, "usb_cameras", list)
    with pytest.raises(
        CameraError, match=r"\(tried pi, usb\): picamera2 .*; no USB camera is connected"
    ):
        open_camera(CameraSettings())

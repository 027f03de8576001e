"""What all cameras have in common, on a camera that gives what it is told to."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from serenbox.cameras import base
from serenbox.cameras.base import CameraBase, time_taken, turned
from serenbox.errors import CameraError

PICTURE = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)


class Puppet(CameraBase):
    """Gives the pictures and times in a list, then ends."""

    def __init__(self, *given: tuple[object, float], rotate: int = 0) -> None:
        super().__init__("puppet", rotate=rotate)
        self.given = list(given)
        self.releases = 0

    def _take(self, timeout: float) -> tuple[object, float] | None:  # noqa: ARG002
        return self.given.pop(0) if self.given else None

    def _release(self) -> None:
        self.releases += 1


class Waiter(CameraBase):
    """Waits to be closed."""

    waiting = threading.Event()

    def _take(self, timeout: float) -> tuple[object, float] | None:
        self.waiting.set()
        self._pause(timeout)
        return None

    def _release(self) -> None:
        """Nothing is open."""


class Hanging(CameraBase):
    """Hangs in its driver, even if it is closed."""

    def __init__(self) -> None:
        super().__init__("hanging")
        self.hanging, self.let_go, self.released = (threading.Event() for _ in range(3))

    def _take(self, timeout: float) -> tuple[object, float] | None:  # noqa: ARG002
        self.hanging.set()
        self.let_go.wait(60)
        return None

    def _release(self) -> None:
        self.released.set()


def test_frames_come_in_order_until_the_end() -> None:
    camera = Puppet((PICTURE, 1.0), (PICTURE, 2.0))
    frames = [camera.read(1), camera.read(1)]
    assert [frame.time for frame in frames if frame] == [1.0, 2.0]
    assert frames[0] is not None
    assert np.array_equal(frames[0].image, PICTURE)
    assert camera.read(1) is None


def test_time_never_goes_backwards() -> None:
    camera = Puppet((PICTURE, 5.0), (PICTURE, 4.0), (PICTURE, 6.0))
    frames = [camera.read(1) for _ in range(3)]
    assert [frame.time for frame in frames if frame] == [5.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("garbage", "said"),
    [
        (None, "nothing"),
        (b"jpeg", "a bytes"),
        (np.zeros((0, 0, 3), np.uint8), r"shape \(0, 0, 3\)"),
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
    ],
)
def test_garbage_is_an_error_and_the_camera_lives_on(garbage: object, said: str) -> None:
    camera = Puppet((garbage, 1.0), (PICTURE, 2.0))
    with pytest.raises(CameraError, match=f"^puppet: it gave .*{said}"):
        camera.read(1)
    assert camera.read(1) is not None


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, -1), (180, 2), (270, 1)])
def test_pictures_are_turned_clockwise(degrees: int, turns: int) -> None:
    frame = Puppet((PICTURE, 0.0), rotate=degrees).read(1)
    assert frame is not None
    assert np.array_equal(frame.image, np.rot90(PICTURE, turns))
    assert frame.image.flags.c_contiguous


def test_a_picture_that_stands_right_is_not_copied() -> None:
    assert turned(PICTURE, 0) is PICTURE


def test_a_camera_is_released_once_and_then_refuses() -> None:
    camera = Puppet((PICTURE, 0.0))
    camera.close()
    camera.close()
    assert camera.releases == 1
    with pytest.raises(CameraError, match="closed"):
        camera.read(1)


def test_closing_wakes_who_waits() -> None:
    camera = Waiter("waiter")
    raised: list[CameraError] = []

    def read() -> None:
        try:
            camera.read(3600)
        except CameraError as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert camera.waiting.wait(30)
    camera.close()
    reader.join(30)
    assert not reader.is_alive()
    assert len(raised) == 1


def test_a_read_that_hangs_does_not_hang_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PATIENCE", 0.01)
    camera = Hanging()
    reader = threading.Thread(target=camera.read, args=(1,))
    reader.start()
    assert camera.hanging.wait(30)
    camera.close()
    assert not camera.released.is_set()
    camera.let_go.set()
    reader.join(30)
    assert camera.released.is_set()


def test_a_stamp_of_another_clock_is_not_believed() -> None:
    assert time_taken(99.5, 100.0) == 99.5
    assert time_taken(0.0, 100.0) == 100.0
    assert time_taken(101.0, 100.0) == 100.0

"""A camera for tests of the capture thread, and what the thread hands over."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from serenbox.cameras.base import Frame
from serenbox.daemon.capture import Capture
from serenbox.errors import CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

QUICK = CameraSettings(fps=100, timeout=0.1, misses=2, reopens=3, reopen_pause=0.05)


class Device:
    """A camera for tests that gives what is put into `results`; without any, `read` times out."""

    name = "test camera"

    def __init__(self, *, live: bool = True) -> None:
        self.live = live
        self.results: deque[Frame | Exception | None] = deque()
        self.open_errors: deque[Exception] = deque()
        self.is_open = False
        self.opened = 0
        self.reads = 0

    def open(self, _: CameraSettings) -> Device:
        if self.open_errors:
            raise self.open_errors.popleft()
        assert not self.is_open, "opened twice"
        self.is_open = True
        self.opened += 1
        return self

    def read(self, timeout: float) -> Frame | None:
        assert self.is_open
        deadline = time.monotonic() + timeout
        while not self.results:
            if time.monotonic() > deadline:
                raise CameraTimeoutError("test camera: no picture came")
            time.sleep(0.002)
        self.reads += 1
        result = self.results.popleft()
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        self.is_open = False


def frame(time: float) -> Frame:
    return Frame(np.zeros((48, 64, 3), np.uint8), time)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@contextmanager
def capturing(device: Device, woken: Event) -> Iterator[Capture]:
    """Give what captures from a camera, and end it afterwards."""
    made = Capture(QUICK, device.open, woken.set)
    yield made
    made.stop()
    assert made.join(30)
    assert not device.is_open


def taken(capture: Capture) -> float:
    captured, _ = capture.take()
    assert captured is not None
    return captured.frame.time


def came(capture: Capture, time: float) -> bool:
    """Return whether a new frame is there and has this time; for use with `wait_for`."""
    captured, _ = capture.take()
    return captured is not None and captured.frame.time == time

"""How long the capture thread may take for a step before it counts as hung, and how it is freed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.capture import CameraState, Capture
from serenbox.errors import CameraError
from serenbox.settings.schema import CameraSettings
from tests.capture import QUICK, Device, came, frame, wait_for

if TYPE_CHECKING:
    from serenbox.cameras.base import Frame


class FastClock:
    """Stands in for the module `time` and can be ahead of it."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FastClock:
    """The clock that tells the capture thread, and whoever asks, when a step has hung."""
    clock = FastClock()
    monkeypatch.setattr("serenbox.daemon.capture.time", clock)
    return clock


def test_an_opening_may_take_long_but_not_forever(
    device: Device, woken: threading.Event, clock: FastClock
) -> None:
    entered, release = threading.Event(), threading.Event()

    def open_slowly(settings: CameraSettings) -> Device:
        if device.opened:
            entered.set()
            assert release.wait(30)
        return device.open(settings)

    capture = Capture(QUICK, open_slowly, woken.set)
    capture.start()
    device.results.append(frame(1))
    wait_for(lambda: came(capture, 1))
    capture.renew(QUICK)
    assert entered.wait(30)
    clock.ahead = 50
    assert capture.alive()
    clock.ahead = 70
    assert not capture.alive()
    capture.stop()
    release.set()
    assert capture.join(30)


def test_a_pause_may_last(capture: Capture, clock: FastClock) -> None:
    capture.start()
    capture.pause()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    clock.ahead = 1e6
    wait_for(capture.alive)


def test_the_wait_for_a_lost_camera_is_no_hang(
    device: Device, woken: threading.Event, clock: FastClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenbox.daemon.capture._OPENING", 1.0)
    device.open_errors.append(CameraError("test camera: there is none"))
    capture = Capture(CameraSettings(timeout=0.1, reopen_pause=60), device.open, woken.set)
    capture.start()
    wait_for(lambda: capture.state is CameraState.LOST)
    clock.ahead = 50
    wait_for(capture.alive)
    clock.ahead = 80
    assert not capture.alive()
    capture.stop()
    assert capture.join(30)


def test_a_step_that_hangs_is_noticed(
    device: Device, woken: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenbox.daemon.capture._GRACE", 0.05)
    release = threading.Event()
    monkeypatch.setattr(device, "read", lambda _: release.wait(30) and None)
    monkeypatch.setattr(device, "close", lambda: release.wait(30))  # waits for the read
    capture = Capture(QUICK, device.open, woken.set)
    capture.start()
    wait_for(lambda: not capture.alive())
    capture.stop()
    assert not capture.join(0.01)
    release.set()
    assert capture.join(30)


def test_a_driver_that_waits_without_end_is_freed_by_closing_it(
    device: Device, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenbox.daemon.capture._SOON", 0.0)
    asked, closed = threading.Event(), threading.Event()

    def read(_: float) -> Frame:
        asked.set()
        assert closed.wait(60)
        raise CameraError("it is closed")

    def close() -> None:
        device.is_open = False
        closed.set()

    monkeypatch.setattr(device, "read", read)
    monkeypatch.setattr(device, "close", close)
    capture.start()
    assert asked.wait(30)
    capture.stop()
    assert capture.join(30)

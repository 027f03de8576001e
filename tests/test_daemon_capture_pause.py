"""While it is paused, the camera is closed, and no picture of it is handed over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from serenbox.daemon.capture import CameraState, Capture
from serenbox.errors import CameraError
from serenbox.settings.schema import CameraSettings
from tests.capture import QUICK, Device, came, frame, wait_for

if TYPE_CHECKING:
    import pytest

    from serenbox.cameras.base import Frame


def test_paused_is_closed(device: Device, capture: Capture) -> None:
    device.results.extend(frame(number) for number in range(3))
    capture.start()
    wait_for(lambda: capture.state is CameraState.OPEN)
    capture.pause()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    assert not device.is_open
    assert capture.camera is None
    assert capture.take() == (None, CameraState.PAUSED)
    assert capture.alive()
    device.results.clear()
    device.results.append(frame(7))
    capture.resume()
    wait_for(lambda: came(capture, 7))


def test_begun_paused_the_camera_is_not_opened(device: Device, woken: threading.Event) -> None:
    capture = Capture(QUICK, device.open, woken.set, paused=True)
    capture.start()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    assert woken.is_set()
    capture.stop()
    assert capture.join(30)
    assert device.opened == 0


def test_a_picture_that_comes_after_a_pause_is_not_handed_over(
    device: Device, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, given = threading.Event(), threading.Event()

    def read(_: float) -> Frame:
        asked.set()
        assert given.wait(30)
        return frame(1)

    monkeypatch.setattr(device, "read", read)
    capture.start()
    assert asked.wait(30)
    capture.pause()
    given.set()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    assert capture.take() == (None, CameraState.PAUSED)


def test_pausing_ends_the_wait_for_a_lost_camera(device: Device, woken: threading.Event) -> None:
    patient = CameraSettings(reopens=1000, reopen_pause=60)
    device.open_errors.append(CameraError("it is not there"))
    capture = Capture(patient, device.open, woken.set)
    capture.start()
    wait_for(lambda: capture.state is CameraState.LOST)
    capture.pause()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    device.results.append(frame(1))
    capture.resume()
    wait_for(lambda: came(capture, 1))
    device.open_errors.append(CameraError("it is not there"))
    capture.renew(patient)
    wait_for(lambda: capture.state is CameraState.LOST)
    capture.stop()
    assert capture.join(30)


def test_a_pause_forgets_what_was_wrong_with_the_camera(device: Device, capture: Capture) -> None:
    device.open_errors.append(CameraError("it has gone"))
    capture.start()
    wait_for(lambda: capture.state is CameraState.LOST)
    capture.pause()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    assert capture.problem is None


def test_after_a_pause_failures_are_counted_anew(device: Device, woken: threading.Event) -> None:
    device.open_errors.extend([CameraError("it is not there")] * 2)
    capture = Capture(CameraSettings(reopens=1, reopen_pause=60), device.open, woken.set)
    capture.start()
    wait_for(lambda: capture.state is CameraState.LOST)
    capture.pause()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    capture.resume()
    wait_for(lambda: not device.open_errors)
    wait_for(lambda: capture.state is not CameraState.OPENING)
    assert capture.state is CameraState.LOST, "one more opening may fail"
    capture.stop()
    assert capture.join(30)

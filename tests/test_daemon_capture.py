"""The frames that the capture thread hands over, and how it opens and closes the camera."""

from __future__ import annotations

import logging
import threading

import pytest

from serenbox.daemon.capture import CameraState, Capture
from serenbox.errors import CameraError
from serenbox.settings.schema import CameraSettings
from tests.capture import QUICK, Device, came, frame, taken, wait_for


def test_only_the_newest_frame_is_kept(
    device: Device, capture: Capture, woken: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device.results.extend(frame(number) for number in range(1, 6))
    capture.start()
    wait_for(lambda: device.reads == 5)
    assert woken.wait(30)
    wait_for(lambda: (waiting := capture._captured) and waiting.frame.time == 5)
    assert taken(capture) == 5
    assert capture.take()[0] is None
    assert capture.camera == "test camera"
    assert capture.alive()
    assert caplog.messages == ["camera: test camera"]


def test_of_a_recording_no_frame_is_skipped(woken: threading.Event) -> None:
    device = Device(live=False)
    device.results.extend([*(frame(number) for number in range(50)), None])
    capture = Capture(QUICK, device.open, woken.set)
    capture.start()
    times = []
    state = CameraState.OPENING
    while state is not CameraState.ENDED:
        assert woken.wait(30)
        woken.clear()
        captured, state = capture.take()
        if captured:
            times.append(captured.frame.time)
    assert times == list(range(50))
    assert capture.join(30)
    assert not device.is_open


def test_too_many_frames_are_thinned_out(device: Device, woken: threading.Event) -> None:
    capture = Capture(CameraSettings(fps=10), device.open, woken.set)
    device.results.extend(frame(number / 100) for number in range(12))
    capture.start()
    wait_for(lambda: device.reads == 12)
    device.results.append(None)
    assert capture.join(30)
    assert taken(capture) == pytest.approx(0.08)


def test_other_settings_open_the_camera_again(device: Device, capture: Capture) -> None:
    device.results.append(frame(1))
    capture.start()
    wait_for(lambda: came(capture, 1))
    capture.renew(CameraSettings(fps=100, timeout=0.1))
    device.results.extend(frame(number) for number in range(2, 9))
    wait_for(lambda: device.opened == 2)


@pytest.mark.parametrize("reopens", [0, 3])
def test_an_opening_that_fails_when_another_is_wanted_is_not_told(
    device: Device, woken: threading.Event, caplog: pytest.LogCaptureFixture, reopens: int
) -> None:
    entered, answered = threading.Event(), threading.Event()
    first = CameraSettings(reopens=reopens, reopen_pause=60)

    def open_slowly(settings: CameraSettings) -> Device:
        if settings is not first:
            return device.open(settings)
        entered.set()
        assert answered.wait(30)
        raise CameraError("the old one: nobody answers")

    capture = Capture(first, open_slowly, woken.set)
    capture.start()
    assert entered.wait(30)
    capture.renew(QUICK)
    device.results.append(frame(1))
    answered.set()
    wait_for(lambda: came(capture, 1))
    assert (capture.state, capture.problem) == (CameraState.OPEN, None)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

    entered.clear()
    answered.clear()
    capture.renew(first)
    assert entered.wait(30)
    assert capture.state is CameraState.OPENING, "no frame can come before it is open"
    capture.pause()
    answered.set()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    assert capture.problem is None
    capture.stop()
    assert capture.join(30)


def test_a_mistake_in_a_driver_ends_it_with_a_sentence(device: Device, capture: Capture) -> None:
    device.results.append(ZeroDivisionError("oops"))
    capture.start()
    wait_for(lambda: capture.state is CameraState.FAILED)
    assert capture.problem
    assert "unexpected ZeroDivisionError in the capture thread: oops" in capture.problem
    wait_for(lambda: not device.is_open)

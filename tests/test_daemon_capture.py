from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serenbox.cameras.base import Frame
from serenbox.daemon.capture import CameraState, Capture
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def capture(device: Device, woken: threading.Event) -> Iterator[Capture]:
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


def test_only_the_newest_frame_is_kept(
    device: Device, capture: Capture, woken: threading.Event
) -> None:
    device.results.extend(frame(number) for number in range(1, 6))
    capture.start()
    wait_for(lambda: device.reads == 5)
    assert woken.wait(30)
    wait_for(lambda: (waiting := capture._captured) and waiting.frame.time == 5)
    assert taken(capture) == 5
    assert capture.take()[0] is None
    assert capture.camera == "test camera"
    assert capture.alive()


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


def test_misses_reopen_the_camera_and_are_told_once(
    device: Device, capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device.results.append(frame(1))
    capture.start()
    wait_for(lambda: capture.state is CameraState.OPEN)
    first, _ = capture.take()
    device.open_errors.extend([CameraError("it is not there")] * 2)
    wait_for(lambda: capture.state is CameraState.LOST)
    assert capture.problem
    device.results.append(frame(2))
    wait_for(lambda: capture.state is CameraState.OPEN)
    wait_for(lambda: (second := capture.take()[0]) and first and second.opening > first.opening)
    assert device.opened == 2
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3, messages
    assert "no picture came; trying again, up to 3 times" in messages[1]
    assert "test camera gives frames again after" in messages[2]
    assert capture.problem is None


def test_the_end_of_a_long_loss_is_told(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    capture = Capture(replace(QUICK, reopens=9), device.open, lambda: None)
    device.results.append(frame(1))
    capture.start()
    wait_for(lambda: capture.state is CameraState.OPEN)
    device.open_errors.extend([CameraError("it is not there")] * 5)
    wait_for(lambda: not device.open_errors and capture.state is CameraState.LOST)
    device.results.append(frame(2))
    wait_for(lambda: capture.state is CameraState.OPEN)
    wait_for(lambda: capture.state is CameraState.LOST)
    capture.stop()
    assert capture.join(30)
    messages = [record.getMessage() for record in caplog.records]
    assert "gives frames again after" in messages[2]
    assert "trying again" in messages[3]


def test_a_camera_that_comes_and_goes_is_told_of_a_few_times_only(
    device: Device, capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broken = CameraError("the bus was reset")
    for number in range(6):
        device.results.extend([frame(number), broken, broken])
    device.results.append(frame(9))
    capture.start()
    wait_for(lambda: came(capture, 9))
    messages = [record.getMessage() for record in caplog.records]
    assert sum("the bus was reset" in message for message in messages) == 3
    assert sum("gives frames again" in message for message in messages) == 3
    assert sum("comes and goes" in message for message in messages) == 1
    assert device.opened == 7


def test_single_misses_are_put_up_with(device: Device, capture: Capture) -> None:
    wrong = CameraError("it gave no picture")
    for number in range(5):
        device.results.extend([frame(number), wrong])
    device.results.append(frame(9))
    capture.start()
    wait_for(lambda: device.reads == 11)
    wait_for(lambda: came(capture, 9))
    assert device.opened == 1


def test_a_camera_that_does_not_come_back_is_given_up(
    device: Device, capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    device.open_errors.extend(CameraError(f"it is not there ({number})") for number in range(9))
    capture.start()
    wait_for(lambda: capture.state is CameraState.FAILED)
    assert len(device.open_errors) == 9 - 1 - QUICK.reopens
    assert capture.problem
    assert "did not come back in 3 attempts (it is not there (3))" in capture.problem
    assert len(caplog.records) == 1


def test_a_camera_that_opens_but_gives_nothing_is_given_up(
    device: Device, capture: Capture
) -> None:
    capture.start()
    wait_for(lambda: capture.state is CameraState.FAILED)
    assert device.opened == 1 + QUICK.reopens


def test_between_openings_it_waits_longer_and_longer(woken: threading.Event) -> None:
    tried: list[float] = []

    def refuse(_: CameraSettings) -> Device:
        tried.append(time.monotonic())
        raise CameraError("it is not there")

    capture = Capture(QUICK, refuse, woken.set)
    capture.start()
    assert capture.join(30)
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert len(waits) == QUICK.reopens
    for number, wait in enumerate(waits):
        assert wait >= QUICK.reopen_pause * 2**number


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


def test_a_mistake_in_a_driver_ends_it_with_a_sentence(device: Device, capture: Capture) -> None:
    device.results.append(ZeroDivisionError("oops"))
    capture.start()
    wait_for(lambda: capture.state is CameraState.FAILED)
    assert capture.problem
    assert "unexpected ZeroDivisionError in the capture thread: oops" in capture.problem
    wait_for(lambda: not device.is_open)


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


def test_too_many_frames_are_thinned_out(device: Device, woken: threading.Event) -> None:
    capture = Capture(CameraSettings(fps=10), device.open, woken.set)
    device.results.extend(frame(number / 100) for number in range(12))
    capture.start()
    wait_for(lambda: device.reads == 12)
    device.results.append(None)
    assert capture.join(30)
    assert taken(capture) == pytest.approx(0.08)

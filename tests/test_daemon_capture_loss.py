"""A camera that is lost, comes back, or does not."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from serenbox.daemon.capture import CameraState, Capture
from serenbox.errors import CameraError
from tests.capture import QUICK, Device, came, frame, wait_for

if TYPE_CHECKING:
    import threading

    import pytest

    from serenbox.settings.schema import CameraSettings


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


def test_other_settings_end_the_wait_for_a_lost_camera(
    device: Device, woken: threading.Event
) -> None:
    device.open_errors.append(CameraError("it is not there"))
    capture = Capture(replace(QUICK, reopen_pause=60), device.open, woken.set)
    capture.start()
    wait_for(lambda: capture.state is CameraState.LOST)
    time.sleep(0.05)  # now it surely waits
    capture.renew(QUICK)
    assert capture.state is not CameraState.LOST, "nothing is known about the other camera yet"
    device.results.append(frame(1))
    wait_for(lambda: came(capture, 1))
    capture.stop()
    assert capture.join(30)

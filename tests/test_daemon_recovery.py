from __future__ import annotations

import itertools
import logging
import time

import pytest

from serenbox.daemon.losses import LossLog
from serenbox.daemon.recovery import STEADY, Pacer, Recovery
from serenbox.settings.schema import CameraSettings


def test_the_camera_is_reopened_after_so_many_misses() -> None:
    recovery = Recovery(CameraSettings(misses=3))
    assert [recovery.frame_missed() for _ in range(3)] == [False, False, True]
    assert recovery.failures == 1
    recovery.frame_came(1.0)
    assert recovery.failures == 0
    assert [recovery.frame_missed() for _ in range(2)] == [False, False]
    recovery.frame_came(2.0)
    assert [recovery.frame_missed() for _ in range(3)] == [False, False, True]
    assert [recovery.frame_missed() for _ in range(3)] == [False, False, True]  # opened again


def test_damaged_pictures_of_a_recording_are_put_up_with_for_longer() -> None:
    recovery = Recovery(CameraSettings(misses=3))
    assert [recovery.frame_missed(damaged=True) for _ in range(100)] == [*[False] * 99, True]


def test_pauses_grow_to_ten_times_the_first() -> None:
    recovery = Recovery(CameraSettings(reopen_pause=0.5, reopens=1000))
    pauses = []
    for _ in range(1000):
        recovery.opening_failed()
        pauses.append(recovery.pause)
    assert pauses[:6] == [0.5, 1, 2, 4, 5, 5]
    assert pauses[-1] == 5


def test_pauses_grow_until_frames_came_for_a_while() -> None:
    recovery = Recovery(CameraSettings(reopen_pause=0.5, misses=1))
    beginnings = itertools.count(100.0, 2 * STEADY)

    def hold(seconds: float) -> float:
        began = next(beginnings)
        recovery.frame_came(began)
        recovery.frame_came(began + seconds)
        assert recovery.frame_missed()
        return recovery.pause

    assert [hold(1) for _ in range(6)] == [0.5, 1, 2, 4, 5, 5]
    assert not recovery.hopeless
    assert [hold(STEADY), hold(1)] == [0.5, 1]


def test_it_is_hopeless_when_as_many_reopenings_failed() -> None:
    recovery = Recovery(CameraSettings(reopens=2, misses=1))
    recovery.opening_failed()
    recovery.opening_failed()
    assert not recovery.hopeless
    assert recovery.frame_missed()  # opened without a frame: a failure, too
    assert recovery.hopeless


@pytest.mark.parametrize(("camera_fps", "fps"), [(30, 10), (15, 10), (25, 10), (60, 1), (30, 7)])
def test_of_a_fast_camera_so_many_frames_are_wanted(camera_fps: float, fps: float) -> None:
    pacer = Pacer(fps)
    wanted = [pacer.wants(number / camera_fps) for number in range(round(100 * camera_fps))]
    assert sum(wanted) == pytest.approx(100 * fps, rel=0.03)


@pytest.mark.parametrize("camera_fps", [10, 9, 3])
def test_of_a_camera_that_is_not_too_fast_all(camera_fps: float) -> None:
    pacer = Pacer(10)
    # They come a little early and a little late in turns.
    times = [number / camera_fps + 0.01 * (-1) ** number for number in range(100)]
    assert all(pacer.wants(time) for time in times)


def test_after_a_stall_there_is_no_burst() -> None:
    pacer = Pacer(10)
    assert pacer.wants(0)
    wanted = [pacer.wants(100 + number / 30) for number in range(30)]
    assert sum(wanted) <= 11


def test_losses_far_apart_are_all_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log, recovery = LossLog(), Recovery(CameraSettings(misses=1))
    for number in range(6):
        began = 100.0 * number
        recovery.frame_came(began)
        recovery.frame_came(began + STEADY)
        assert recovery.frame_missed()
        log.lost("it has gone", recovery)
        log.back("USB camera")
    messages = [record.getMessage() for record in caplog.records]
    assert sum("it has gone; trying again" in message for message in messages) == 6
    assert sum("gives frames again" in message for message in messages) == 6
    assert not any("comes and goes" in message for message in messages)


def test_how_long_a_camera_was_lost_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = time.monotonic()
    log = LossLog()
    log.lost("it has gone", Recovery(CameraSettings()))
    log.back("USB camera")
    told = caplog.records[-1].getMessage().removeprefix("USB camera gives frames again after ")
    assert 0 <= float(told.removesuffix(" s")) <= time.monotonic() - before + 0.05

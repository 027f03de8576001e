from __future__ import annotations

import numpy as np

from serenbox.cameras.base import Frame
from serenbox.daemon.darkness import Darkness


def frame(time: float, level: int) -> Frame:
    return Frame(np.full((96, 128, 3), level, np.uint8), time)


def told(frames: list[Frame]) -> list[bool]:
    darkness = Darkness()
    return [black for black in map(darkness.change, frames) if black is not None]


def test_each_darkness_is_told_once_and_its_end_too() -> None:
    night = [frame(number / 10, 3) for number in range(100)]
    morning = [frame(10 + number / 10, 80) for number in range(100)]
    evening = [frame(20 + number / 10, 0) for number in range(100)]
    assert told(night + morning + evening) == [True, False, True]


def test_a_camera_that_starts_is_black_for_a_moment() -> None:
    assert told([frame(0, 0), frame(1, 0), frame(1.9, 0), frame(2.1, 90)]) == []


def test_a_lamp_is_enough_light() -> None:
    frames = [frame(number, 0) for number in range(10)]
    for one in frames:
        one.image[32:64, 32:64] = 200
    assert told(frames) == []


def test_a_lamp_beside_the_middle_is_enough_light() -> None:
    frames = [frame(number, 0) for number in range(10)]
    for one in frames:
        one.image[60:70, 60:70] = 200
    assert told(frames) == []


def test_black_is_what_video_calls_black() -> None:
    assert told([frame(number, 16) for number in range(4)]) == [True]
    assert told([frame(number, 17) for number in range(4)]) == []


def test_the_noise_of_a_dark_room_is_told_once() -> None:
    chance = np.random.default_rng(1)
    night = [Frame(np.zeros((480, 640, 3), np.uint8), number / 2) for number in range(240)]
    for one in night:
        one.image[::32, ::32] = np.clip(chance.normal(0, 5, (15, 20, 1)), 0, 255).round()
    assert told(night) == [True]
    assert told([*night, frame(120, 40)]) == [True, False]


def test_two_dark_moments_are_no_darkness() -> None:
    assert told([frame(0, 0), frame(1, 90), frame(5, 0), frame(6, 90)]) == []


def test_a_recording_that_starts_over_may_be_black() -> None:
    assert told([frame(100, 0), *(frame(number, 0) for number in range(4))]) == [True]

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from serenbox.cameras.base import Frame
from serenbox.mood.motion import MotionGate
from serenbox.settings.schema import SensingSettings

SETTINGS = SensingSettings(motion=2.0, heartbeat=2.0)


def scene(person: int = 0, noise: int | None = None) -> npt.NDArray[np.uint8]:
    """Return a room with a person so many pixels wide; `noise` seeds the noise of the camera."""
    image = np.full((480, 640, 3), 100, np.int16)
    image[200:, 300 : 300 + person] = 30
    if noise is not None:
        image += np.random.default_rng(noise).integers(-15, 16, image.shape, np.int16)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def test_a_still_scene_passes_only_as_often_as_the_heart_beats() -> None:
    gate = MotionGate(SETTINGS)

    passed = [n for n in range(51) if gate.wants(Frame(scene(noise=n), n / 5), somebody=False)]

    assert passed == [0, 10, 20, 30, 40, 50]


def test_somebody_who_comes_in_is_seen_at_once() -> None:
    gate = MotionGate(SETTINGS)
    gate.wants(Frame(scene(noise=0), 0.0), somebody=False)

    assert not gate.wants(Frame(scene(noise=1), 0.1), somebody=False)
    assert gate.wants(Frame(scene(person=80, noise=2), 0.2), somebody=False)


def test_slow_changes_add_up() -> None:
    gate = MotionGate(SensingSettings(motion=2.0, heartbeat=600))

    passed = [
        n for n in range(100) if gate.wants(Frame(scene(person=2 * n), n / 10), somebody=False)
    ]

    assert passed[0] == 0
    assert 2 < len(passed) < 20


def test_everything_passes_while_somebody_is_there_and_once_more_after() -> None:
    gate = MotionGate(SETTINGS)
    gate.wants(Frame(scene(), 0.0), somebody=False)

    assert all(gate.wants(Frame(scene(), n / 10), somebody=True) for n in range(1, 5))
    assert gate.wants(Frame(scene(), 0.5), somebody=False)
    assert not gate.wants(Frame(scene(), 0.6), somebody=False)


def test_a_picture_of_another_size_passes() -> None:
    gate = MotionGate(SETTINGS)
    large, small = (np.full((side, side, 3), 100, np.uint8) for side in (480, 240))

    passed = [
        gate.wants(Frame(image, n / 10), somebody=False)
        for n, image in enumerate((large, large, small, small, large))
    ]

    assert passed == [True, False, True, False, True]


def test_no_threshold_means_every_frame() -> None:
    gate = MotionGate(SensingSettings(motion=0))

    assert all(gate.wants(Frame(scene(), n / 10), somebody=False) for n in range(5))


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 30, 3), (1080, 1920, 3), (33, 1000, 3)])
def test_pictures_of_any_size(shape: tuple[int, ...]) -> None:
    gate = MotionGate(SETTINGS)
    dark, bright = np.zeros(shape, np.uint8), np.full(shape, 9, np.uint8)

    assert gate.wants(Frame(dark, 0.0), somebody=False)
    assert not gate.wants(Frame(dark, 0.1), somebody=False)
    assert gate.wants(Frame(bright, 0.2), somebody=False)

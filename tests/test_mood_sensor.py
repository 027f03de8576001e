from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.cameras.base import Frame
from serenbox.detector import EmotionDetector
from serenbox.mood.sensor import Sensor
from serenbox.settings.schema import MoodSettings, SensingSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from serenbox.results import FaceLocation

Image = npt.NDArray[np.uint8]

EMPTY: Image = np.full((480, 640, 3), 90, np.uint8)


class CountingDetector(EmotionDetector):
    """A real detector that records the calls of its face finder."""

    def __init__(self, model: Path) -> None:
        super().__init__(model)
        self.calls: list[str] = []
        find, follow = self.finder.find, self.finder.follow

        def counted_find(
            image: Image, *, tiles: bool = False, known: Sequence[FaceLocation] = ()
        ) -> list[FaceLocation]:
            self.calls.append("find")
            return find(image, tiles=tiles, known=known)

        def counted_follow(image: Image, location: FaceLocation) -> FaceLocation | None:
            self.calls.append("follow")
            return follow(image, location)

        self.finder.find = counted_find  # type: ignore[method-assign]
        self.finder.follow = counted_follow  # type: ignore[method-assign]


@pytest.fixture
def detector(emotion_model: Path, face_model: Path) -> CountingDetector:
    assert face_model.exists()
    return CountingDetector(emotion_model)


@pytest.fixture
def sensor(detector: CountingDetector) -> Sensor:
    return Sensor(
        detector, SensingSettings(search_interval=1.0, memory=1.0, max_faces=2), MoodSettings()
    )


@pytest.fixture(scope="module")
def head(portrait: Image) -> Image:
    return portrait[20:200, 134:314]


def room(*heads: tuple[Image, int, int]) -> Image:
    """Return a room with each head at (left, side): its left edge and its width."""
    image = EMPTY.copy()
    for head, left, side in heads:
        small = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
        image[100 : 100 + side, left : left + side] = small
    return image


def test_a_followed_face_costs_one_look(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    readings = [sensor.read(Frame(room((head, 100 + 6 * n, 180)), n / 10)) for n in range(13)]

    assert detector.calls == ["find", *["follow"] * 10, "find", *["follow"] * 2]
    assert [[face.id for face in reading.faces] for reading in readings] == [[1]] * 13
    lefts = [reading.faces[0].face.box.x for reading in readings]
    assert lefts == sorted(lefts)
    assert lefts[-1] - lefts[0] == pytest.approx(72, abs=10)
    assert all(reading.primary is reading.faces[0] for reading in readings)
    assert readings[3].time == 0.3
    assert sensor.find_seconds > 0
    assert sensor.classify_seconds > 0


def test_emotions_are_those_of_the_detector(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    image = room((head, 100, 180))

    reading = sensor.read(Frame(image, 0.0))

    assert [face.face for face in reading.faces] == detector.detect(image)


def test_an_empty_room_is_searched_in_every_frame(
    sensor: Sensor, detector: CountingDetector
) -> None:
    for n in range(3):
        assert sensor.read(Frame(EMPTY, n / 10)).faces == ()

    assert detector.calls == ["find"] * 3


def test_a_face_that_is_lost_is_searched_for_at_once(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    sensor.read(Frame(room((head, 60, 180)), 0.0))
    detector.calls.clear()

    there = sensor.read(Frame(room((head, 400, 180)), 0.1))
    gone = sensor.read(Frame(EMPTY, 0.2))

    assert [face.face.box.x > 380 for face in there.faces] == [True]
    assert gone.faces == ()
    assert detector.calls == ["follow", "find"] * 2


def test_one_of_two_that_is_lost_is_searched_for_at_once(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    sensor.read(Frame(room((head, 0, 180), (head, 200, 180)), 0.0))
    detector.calls.clear()

    both = sensor.read(Frame(room((head, 0, 180), (head, 440, 180)), 0.1))

    assert sorted(face.face.box.x > 300 for face in both.faces) == [False, True]
    assert detector.calls == ["follow", "follow", "find"]


def test_one_of_two_that_a_frame_misses_is_searched_for_until_found(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    both, one = room((head, 0, 180), (head, 340, 230)), room((head, 0, 180))
    before = sensor.read(Frame(both, 0.0))
    for time in (0.1, 0.2):
        assert [face.id for face in sensor.read(Frame(one, time)).faces] == [2]
    detector.calls.clear()

    after = sensor.read(Frame(both, 0.3))
    sensor.read(Frame(both, 0.4))

    identities = [[(face.id, face.primary) for face in each.faces] for each in (before, after)]
    assert identities == [[(1, True), (2, False)]] * 2
    assert detector.calls == ["follow", "find", "follow", "follow"]


def test_one_of_two_that_has_left_is_searched_for_as_long_as_remembered(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    sensor.read(Frame(room((head, 0, 180), (head, 340, 230)), 0.0))
    detector.calls.clear()
    one = room((head, 0, 180))

    searched = []
    for n in range(1, 32):
        sensor.read(Frame(one, n / 10))
        searched.append(detector.calls[-1] == "find")

    assert searched == [n <= 11 or n in (21, 31) for n in range(1, 32)]


def test_two_that_are_followed_to_the_same_face_become_one(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    two = sensor.read(Frame(room((head, 100, 180), (head, 245, 180)), 0.0))
    detector.calls.clear()

    one = sensor.read(Frame(room((head, 172, 180)), 0.1))

    assert (len(two.faces), len(one.faces)) == (2, 1)
    assert detector.calls == ["follow", "follow"]


def test_who_is_gone_leaves_the_mood_to_others_after_no_face_after(
    detector: CountingDetector, head: Image
) -> None:
    sensor = Sensor(detector, SensingSettings(memory=10.0), MoodSettings(no_face_after=0.5))
    sensor.read(Frame(room((head, 0, 180), (head, 340, 230)), 0.0))

    left = [sensor.read(Frame(room((head, 0, 180)), time)).primary for time in (0.4, 0.6)]

    assert [primary and primary.id for primary in left] == [None, 2]


def test_who_joins_is_seen_at_the_next_search(
    sensor: Sensor, detector: CountingDetector, head: Image
) -> None:
    sensor.read(Frame(room((head, 60, 180)), 0.0))
    both = room((head, 60, 180), (head, 340, 230))

    before = sensor.read(Frame(both, 0.5))
    after = sensor.read(Frame(both, 1.0))
    later = sensor.read(Frame(both, 1.1))

    assert [face.id for face in before.faces] == [1]
    for reading in (after, later):
        assert [(face.id, face.primary) for face in reading.faces] == [(2, True), (1, False)]
    assert detector.calls[-2:] == ["follow", "follow"]


def test_no_more_faces_than_wanted(sensor: Sensor, head: Image) -> None:
    three = room((head, 0, 180), (head, 200, 200), (head, 420, 220))

    assert len(sensor.read(Frame(three, 0.0)).faces) == 2
    assert len(sensor.read(Frame(three, 0.1)).faces) == 2


def test_frames_may_change_their_size(sensor: Sensor, head: Image) -> None:
    sensor.read(Frame(room((head, 400, 180)), 0.0))

    (face,) = sensor.read(Frame(np.ascontiguousarray(head), 0.1)).faces

    assert face.face.box.x + face.face.box.width <= head.shape[1]

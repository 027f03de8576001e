from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.daemon.announcer import Announcer
from serenbox.mood.slot import SlotRule
from serenbox.mood.types import Mood, TrackedFace
from serenbox.results import EMOTIONS, Box, Face
from serenbox.settings.schema import DiffuserSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serenbox.outputs.messages import State

DAY = 86400.0


class Recorder:
    """An output that keeps what it is told."""

    name = "recorder"

    def __init__(self) -> None:
        self.moods: list[Mapping[str, Any]] = []
        self.events: list[Mapping[str, Any]] = []
        self.told: list[Mapping[str, Any]] = []

    def start(self) -> None: ...

    def mood(self, message: Mapping[str, Any]) -> None:
        self.moods.append(message)

    def event(self, message: Mapping[str, Any]) -> None:
        self.events.append(message)

    def stats(self, message: Mapping[str, Any]) -> None:
        self.told.append(message)

    def close(self, timeout: float) -> None: ...

    def health(self) -> dict[str, Any]:
        return {"connected": True}


class Clocks:
    """A clock that never jumps, and a wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset = 1.7e9

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.wall_offset


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def announcer(clocks: Clocks, recorder: Recorder) -> Announcer:
    return Announcer("box", [recorder], clock=clocks.clock, wall=clocks.wall)


def mood(label: str, confidence: float = 0.9) -> Mood:
    return Mood(label, confidence, dict.fromkeys(EMOTIONS, confidence / 7), 0.0)


def seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def test_a_change_is_told_at_once(announcer: Announcer, recorder: Recorder, clocks: Clocks) -> None:
    announcer.sensed(mood("happy"), (), 0.5)
    clocks.now += 0.1
    announcer.sensed(mood("sad"), (), 0.0)
    assert [message["mood"] for message in recorder.moods] == ["happy", "sad"]
    assert [(event["previous"], event["mood"]) for event in recorder.events] == [
        ("no_camera", "happy"),
        ("happy", "sad"),
    ]
    event = recorder.events[0]
    assert seconds(event["time"]) - seconds(event["since"]) == pytest.approx(0.5, abs=0.002)
    assert event["device"] == "box"
    assert announcer.label == "sad"
    assert announcer.confidence == 0.9


def test_each_of_two_quick_changes_has_its_own_time(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    for label in ("happy", "sad"):
        announcer.sensed(mood(label), (), 0.0)
        clocks.now += 0.3
    assert [event["since"] == event["time"] for event in recorder.events] == [True, True]


def test_new_scores_are_told_once_a_second(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    for number in range(100):
        announcer.sensed(mood("happy", 0.5 + number / 1000), (), 0.0)
        clocks.now += 0.1
    assert len(recorder.moods) == 10
    assert len(recorder.events) == 1
    assert recorder.moods[-1]["confidence"] > recorder.moods[0]["confidence"]
    assert len({message["since"] for message in recorder.moods}) == 1


def test_what_does_not_change_is_told_once_a_minute(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    assert announcer.due == float("inf")  # there is nothing to repeat
    for _ in range(3000):
        announcer.sensed(mood("no_face", 0.0), (), 0.0)
        if clocks.now >= announcer.due:
            announcer.repeat()
        clocks.now += 0.1
    assert len(recorder.moods) == 5
    assert len(recorder.events) == 1


def test_a_face_that_moves_is_news(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    for left in range(3):
        face = Face(Box(left, 0, 9, 9), "happy", 0.9, dict.fromkeys(EMOTIONS, 0.1), None)
        announcer.sensed(mood("happy"), (TrackedFace(1, face, primary=True),), 0.0)
        clocks.now += 2
    assert [message["faces"][0]["box"][0] for message in recorder.moods] == [0, 1, 2]


def test_that_a_face_has_gone_is_told_a_second_after_it_came(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    face = Face(Box(0, 0, 9, 9), "happy", 0.9, dict.fromkeys(EMOTIONS, 0.1), None)
    announcer.sensed(mood("no_face", 0.0), (), 0.0)
    for number in range(50):  # somebody walks by, for too short a time to change the mood
        clocks.now += 0.1
        seen = (TrackedFace(1, face, primary=True),) if 20 <= number < 24 else ()
        announcer.sensed(mood("no_face", 0.0), seen, 0.0)
    assert [message["face_count"] for message in recorder.moods] == [0, 1, 0]


def test_pausing_and_a_lost_camera_are_events(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    announcer.sensed(mood("happy"), (), 0.0)
    for _ in range(3):
        announcer.became("no_camera")
    announcer.became("paused")
    clocks.now += 30
    announcer.repeat()
    announcer.sensed(mood("happy"), (), 0.0)
    changes = [(event["previous"], event["mood"], event["state"]) for event in recorder.events]
    assert changes == [
        ("no_camera", "happy", "sensing"),
        ("happy", "no_camera", "no_camera"),
        ("no_camera", "paused", "paused"),
        ("paused", "happy", "sensing"),
    ]
    repeated = recorder.moods[-2]
    assert repeated["mood"] == "paused"
    assert seconds(repeated["time"]) - seconds(repeated["since"]) == pytest.approx(30, abs=0.002)
    assert repeated["confidence"] == 0
    assert not repeated["faces"]


@pytest.mark.parametrize("state", ["paused", "no_camera"])
def test_who_is_not_looked_at_is_not_sure_of_any_mood(announcer: Announcer, state: State) -> None:
    announcer.sensed(mood("happy", 0.9), (), 0.0)
    announcer.became(state)
    assert (announcer.label, announcer.confidence) == (state, 0)


def test_missing_from_the_start_is_told_but_is_no_change(
    announcer: Announcer, recorder: Recorder
) -> None:
    announcer.became("no_camera")
    announcer.became("no_camera")
    assert [message["mood"] for message in recorder.moods] == ["no_camera"]
    assert recorder.events == []
    assert announcer.confidence == 0


def test_a_failing_camera_says_why_once(announcer: Announcer, recorder: Recorder) -> None:
    announcer.became("no_camera", "it is not there")
    announcer.became("no_camera", "it is still not there")
    announcer.sensed(mood("happy"), (), 0.0)
    announcer.became("paused")
    announcer.became("no_camera")  # the camera is being opened
    announcer.became("no_camera", "it has gone")
    told = [(message["mood"], message.get("problem")) for message in recorder.moods]
    assert told == [
        ("no_camera", "it is not there"),
        ("happy", None),
        ("paused", None),
        ("no_camera", None),
        ("no_camera", "it has gone"),
    ]
    assert [event["mood"] for event in recorder.events] == ["happy", "paused", "no_camera"]


def test_the_first_wording_of_a_problem_stays(announcer: Announcer, recorder: Recorder) -> None:
    announcer.became("no_camera", "it is not there")
    announcer.became("no_camera", "it is still not there")
    announcer.repeat()
    assert [message["problem"] for message in recorder.moods] == ["it is not there"] * 2


def test_the_diffuser_changes_by_the_mere_time(recorder: Recorder, clocks: Clocks) -> None:
    rule = SlotRule(DiffuserSettings(dwell=5, off_after=20, minimum_on=100))
    announcer = Announcer("box", [recorder], rule, clock=clocks.clock, wall=clocks.wall)
    announcer.sensed(mood("happy"), (), 0.0)
    assert announcer.due == clocks.now + 5
    clocks.now += 4.9
    announcer.sensed(mood("happy", 0.8), (), 4.9)
    clocks.now = announcer.due
    announcer.repeat()
    assert announcer.due == clocks.now + 60  # nothing but the heartbeat
    announcer.became("paused")
    assert [message["slot"] for message in recorder.moods] == ["off", "off", "B", "off"]
    assert [event["slot"] for event in recorder.events] == ["off", "off"]


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_the_diffuser_does_not_mind_a_clock_that_is_set(
    recorder: Recorder, clocks: Clocks, jump: float
) -> None:
    rule = SlotRule(DiffuserSettings(dwell=5))
    announcer = Announcer("box", [recorder], rule, clock=clocks.clock, wall=clocks.wall)
    announcer.sensed(mood("happy"), (), 0.0)
    clocks.wall_offset += jump
    clocks.now += 4
    announcer.repeat()
    clocks.now = announcer.due
    announcer.repeat()
    assert [message["slot"] for message in recorder.moods] == ["off", "off", "B"]


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_changes_nothing_but_the_times(
    announcer: Announcer, recorder: Recorder, clocks: Clocks, jump: float
) -> None:
    announcer.sensed(mood("happy", 0.80), (), 0.0)
    clocks.now += 20
    clocks.wall_offset += jump
    assert announcer.due - clocks.now == pytest.approx(40)
    announcer.sensed(mood("happy", 0.81), (), 20.0)
    clocks.now += 0.5
    announcer.sensed(mood("happy", 0.82), (), 20.5)
    clocks.now += 0.5
    announcer.sensed(mood("happy", 0.83), (), 21.0)
    assert len(recorder.events) == 1
    first, second, third = recorder.moods
    assert seconds(second["time"]) - seconds(first["time"]) == pytest.approx(jump + 20, abs=0.01)
    for message, age in ((second, 20), (third, 21)):
        assert seconds(message["time"]) - seconds(message["since"]) == pytest.approx(age, abs=0.01)
    assert second["since"] == third["since"]


def test_the_two_clocks_drift_apart_in_small_steps_only(
    announcer: Announcer, recorder: Recorder, clocks: Clocks
) -> None:
    announcer.sensed(mood("happy", 0.1), (), 0.0)
    for number in range(10):
        clocks.now += 1
        clocks.wall_offset += 0.001 * (-1) ** number  # the clocks are read one after the other
        announcer.sensed(mood("happy", number / 20), (), 0.0)
    assert len({message["since"] for message in recorder.moods}) == 1


def test_other_outputs_are_told_what_holds(announcer: Announcer, recorder: Recorder) -> None:
    other = Recorder()
    announcer.renew("cupboard", [other])
    assert other.moods == []  # nothing is known yet
    announcer.sensed(mood("happy"), (), 0.0)
    announcer.renew("box", [recorder])
    assert [message["device"] for message in other.moods + recorder.moods] == ["cupboard", "box"]
    assert recorder.events == []


def test_statistics_and_health(announcer: Announcer, recorder: Recorder) -> None:
    announcer.tell({"frames": 3})
    assert recorder.told == [{"frames": 3}]
    assert announcer.health() == {"recorder": {"connected": True}}


def test_statistics_for_one_output_alone(announcer: Announcer, recorder: Recorder) -> None:
    announcer.tell({"frames": 3}, to="another")
    assert recorder.told == []
    announcer.tell({"frames": 3}, to=recorder.name)
    assert recorder.told == [{"frames": 3}]

"""Tests of which messages make which events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serenbox.hooks.events import EventReader
from serenbox.mood.types import Mood
from serenbox.outputs.messages import event_message, mood_message
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from serenbox.outputs.messages import State

SCORES = dict.fromkeys(EMOTIONS, 0.1)


def message(label: str, problem: str | None = None) -> dict[str, Any]:
    state: State = "sensing"
    if label in {"paused", "no_camera"}:
        state = "paused" if label == "paused" else "no_camera"
    mood = Mood(label, 0.5, SCORES, 0.0)
    return mood_message("den", 0.0, state, mood, 0.0, problem=problem)


def events(previous: str, label: str) -> list[str]:
    found = EventReader().read("event", event_message(message(label), previous))
    assert all(happening.message["event"] == happening.event for happening in found)
    return [happening.event for happening in found]


@pytest.mark.parametrize(
    ("previous", "label", "expected"),
    [
        ("happy", "sad", ["mood"]),
        ("happy", "uncertain", ["mood"]),
        ("no_face", "happy", ["mood", "face"]),
        ("no_face", "uncertain", ["mood", "face"]),
        ("no_camera", "angry", ["mood", "face"]),
        ("paused", "neutral", ["mood", "face"]),
        ("happy", "no_face", ["mood", "no_face"]),
        ("no_camera", "no_face", ["mood", "no_face"]),
        ("happy", "paused", ["mood", "paused"]),
        ("happy", "no_camera", ["mood"]),
        ("paused", "no_camera", ["mood"]),
    ],
)
def test_a_change_of_mood(previous: str, label: str, expected: list[str]) -> None:
    assert events(previous, label) == expected


def test_a_hook_is_told_the_whole_message() -> None:
    change = event_message(message("happy"), "no_face")
    mood, face = EventReader().read("event", change)
    assert mood.message == change
    assert face.message == change | {"event": "face"}
    assert change["event"] == "mood"  # unchanged, because other outputs get it, too


def test_a_camera_that_fails_is_an_error_once() -> None:
    reader = EventReader()
    failed = message("no_camera", "it has gone")
    (error,) = reader.read("mood", failed)
    assert error.event == "error"
    assert error.message == {
        "schema": 1,
        "device": "den",
        "time": failed["time"],
        "state": "no_camera",
        "event": "error",
        "source": "camera",
        "problem": "it has gone",
    }
    assert reader.read("mood", failed) == []
    assert reader.read("mood", message("happy")) == []
    assert len(reader.read("mood", failed)) == 1


def test_a_camera_that_is_being_opened_is_none() -> None:
    assert EventReader().read("mood", message("no_camera")) == []


def test_a_pause_that_will_not_survive_a_restart_is_no_error_of_the_camera() -> None:
    assert EventReader().read("mood", message("paused", "the disk is full")) == []


def test_an_output_that_fails_is_an_error_once() -> None:
    reader = EventReader()

    def sources(**problems: str | None) -> list[tuple[str, str]]:
        outputs = {name: {"connected": True, "problem": problems[name]} for name in problems}
        stats = {**message("happy"), "outputs": outputs}
        found = reader.read("stats", stats)
        return [(each.message["source"], each.message["problem"]) for each in found]

    assert sources(mqtt=None, web=None) == []
    assert sources(mqtt="gone", web=None) == [("mqtt", "gone")]
    assert sources(mqtt="still gone", web="taken") == [("web", "taken")]
    assert sources(mqtt=None, web="taken") == []
    assert sources(mqtt="gone", web="taken") == [("mqtt", "gone")]
    assert sources(web="taken") == []  # a reload has turned MQTT off
    assert sources(mqtt="gone", web="taken") == [("mqtt", "gone")]

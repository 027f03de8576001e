"""Tests of the messages."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from serenbox.mood.types import MOODS, Mood, TrackedFace
from serenbox.outputs.messages import (
    HEARTBEAT,
    MOOD_LABELS,
    event_message,
    mood_message,
    stats_message,
    timestamp,
)
from serenbox.results import EMOTIONS, Box, Face

NOW = 1769879109.123456
SCORES = dict(zip(EMOTIONS, (0.01, 0.0, 0.0, 0.93004, 0.05, 0.0, 0.00996), strict=True))
HAPPY = Mood("happy", 0.93004, SCORES, since=3.0)
FACES = (
    TrackedFace(3, Face(Box(10, 20, 30, 40), "happy", 0.95555, SCORES), primary=True),
    TrackedFace(4, Face(Box(1, 2, 3, 4), "uncertain", 0.3, SCORES), primary=False),
)


def test_a_mood_with_two_faces() -> None:
    message = mood_message("den", NOW, "sensing", HAPPY, 61.0, FACES)
    rounded = SCORES | {"happy": 0.93, "surprise": 0.01}
    assert message == {
        "schema": 1,
        "device": "den",
        "time": "2026-01-31T17:05:09.123Z",
        "mood": "happy",
        "since": "2026-01-31T17:04:08.123Z",
        "confidence": 0.93,
        "scores": rounded,
        "state": "sensing",
        "face_count": 2,
        "faces": [
            {
                "id": 3,
                "primary": True,
                "box": [10, 20, 30, 40],
                "emotion": "happy",
                "confidence": 0.9556,
                "scores": rounded,
            },
            {
                "id": 4,
                "primary": False,
                "box": [1, 2, 3, 4],
                "emotion": "uncertain",
                "confidence": 0.3,
                "scores": rounded,
            },
        ],
    }
    assert list(message["scores"]) == list(EMOTIONS)


@pytest.mark.parametrize("state", ["paused", "no_camera"])
def test_a_box_that_does_not_sense_says_why(state: str) -> None:
    message = mood_message("den", NOW, state, HAPPY, 1.0, FACES)  # type: ignore[arg-type]
    assert message["mood"] == message["state"] == state
    assert message["confidence"] == 0
    assert message["scores"] == dict.fromkeys(EMOTIONS, 0)
    assert message["faces"] == []
    assert message["face_count"] == 0


def test_a_failed_camera_says_why_and_only_then() -> None:
    failed = mood_message("den", NOW, "no_camera", None, 1.0, problem="it has gone")
    assert failed["problem"] == "it has gone"
    assert "problem" not in mood_message("den", NOW, "no_camera", None, 1.0)
    assert "problem" not in mood_message("den", NOW, "sensing", None, 1.0, problem="it has gone")


def test_the_slot_is_told_where_there_is_a_diffuser() -> None:
    assert mood_message("den", NOW, "paused", None, 1.0, slot="off")["slot"] == "off"
    assert "slot" not in mood_message("den", NOW, "paused", None, 1.0)


def test_before_the_first_mood_there_is_no_face() -> None:
    assert mood_message("den", NOW, "sensing", None, 0.0)["mood"] == "no_face"


def test_every_mood_has_its_label() -> None:
    assert set(MOOD_LABELS) == {*MOODS, "paused", "no_camera"}
    assert len(MOOD_LABELS) == 11
    assert HEARTBEAT == 60


def test_an_event_is_the_mood_and_what_was_before() -> None:
    message = mood_message("den", NOW, "sensing", HAPPY, 0.0)
    event = event_message(message, "neutral")
    assert event == {**message, "event": "mood", "previous": "neutral"}
    assert "event" not in message


def test_statistics() -> None:
    message = stats_message(
        "den",
        NOW,
        "sensing",
        version="1.2.3",
        uptime=12.3456,
        camera="USB camera /dev/video0",
        frames=123,
        fps=9.98765,
        latency_ms={"total": {"p50": 5.5555, "p95": 7.0, "p99": math.inf}},
        temperature_c=None,
        throttled=False,
        memory_mb=101.26,
        outputs={"mqtt": {"connected": True, "problem": None}},
    )
    assert message == {
        "schema": 1,
        "device": "den",
        "time": "2026-01-31T17:05:09.123Z",
        "state": "sensing",
        "version": "1.2.3",
        "uptime": 12.3,
        "camera": "USB camera /dev/video0",
        "frames": 123,
        "fps": 9.99,
        "latency_ms": {"total": {"p50": 5.56, "p95": 7.0, "p99": None}},
        "temperature_c": None,
        "throttled": False,
        "memory_mb": 101.3,
        "outputs": {"mqtt": {"connected": True, "problem": None}},
    }
    json.dumps(message, allow_nan=False)


def test_numbers_that_json_cannot_hold_become_null() -> None:
    scores = SCORES | {"happy": math.nan}
    message = mood_message("den", NOW, "sensing", Mood("happy", math.nan, scores, 0.0), 0.0)
    assert message["confidence"] is None
    assert message["scores"]["happy"] is None
    json.dumps(message, allow_nan=False)


@pytest.mark.parametrize("wall_time", [0.0, 0.0004, 1e9, NOW, 4102444800.999])
def test_times_are_rfc_3339(wall_time: float) -> None:
    text = timestamp(wall_time)
    assert text.endswith("Z")
    assert len(text) == len("2026-01-31T17:05:09.123Z")
    back = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert 0 <= wall_time - back.timestamp() < 0.001


@pytest.mark.parametrize("wall_time", [-1e18, -5.0, 1e18, math.inf])
def test_impossible_times_do_no_harm(wall_time: float) -> None:
    assert timestamp(wall_time)[:4] in {"1970", "9999"}


def test_a_mood_never_begins_in_the_future() -> None:
    message = mood_message("den", NOW, "sensing", HAPPY, -5.0)
    assert message["since"] == message["time"]

"""A short soak, and the search for events that are missing or came twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.results import EMOTIONS
from tests.benchmarks.soak import Soak, delivery_problems, split_epochs
from tests.mosquitto import Received

if TYPE_CHECKING:
    from pathlib import Path


def event(number: int) -> dict[str, Any]:
    return {"event": "mood", "time": number}


EVENTS = [event(number) for number in range(8)]


def test_short_run(tmp_path: Path) -> None:
    outcome = Soak(tmp_path, frames=700, restart_every=300).run()

    assert outcome.problems() == []
    assert outcome.frames >= 700
    assert outcome.restarts >= 1
    assert len(outcome.epochs) == outcome.restarts + 1
    moods = {event["mood"] for event in outcome.events}
    assert {"no_face", "no_camera"} <= moods
    assert moods & set(EMOTIONS), "the drawn face has none"
    assert sum(map(len, outcome.epochs)) >= 3


def test_all_came() -> None:
    assert delivery_problems(EVENTS, [EVENTS[:3], EVENTS[3:]], dropped=0, restarts=1) == []
    assert delivery_problems(EVENTS, [EVENTS[:3], [], EVENTS[5:]], dropped=2, restarts=2) == []


@pytest.mark.parametrize(
    ("epochs", "dropped", "problem"),
    [
        ([EVENTS[:4], EVENTS[5:]], 0, "1 events did not come, and 0 were counted as lost"),
        ([EVENTS], 9, "0 events did not come, and 9 were counted as lost"),
        ([[*EVENTS[:3], *EVENTS[4:]]], 1, "connection 1: an event is missing, came twice or"),
        ([[EVENTS[1], EVENTS[0], *EVENTS[2:]]], 0, "connection 1: an event is missing, came twice"),
        ([EVENTS[:3], [EVENTS[3], *EVENTS[3:]]], 0, "connection 2: an event is missing, came twic"),
        ([EVENTS[:4], EVENTS[3:]], 0, "connection 2: an event came that came in an earlier one"),
        ([[*EVENTS, event(9)]], 0, "connection 1: an event came that standard output did not get"),
    ],
)
def test_what_is_wrong_is_found(
    epochs: list[list[dict[str, Any]]], dropped: int, problem: str
) -> None:
    found = delivery_problems(EVENTS, epochs, dropped, restarts=1)

    assert any(one.startswith(problem) for one in found), found


def test_connections_begin_with_online() -> None:
    def received(topic: str, payload: bytes) -> Received:
        return Received(f"serenbox/box/{topic}", payload, retained=False, qos=1)

    messages = [
        received("availability", b"online"),
        received("mood", b"{}"),
        received("event", json.dumps(event(1)).encode()),
        received("event", json.dumps(event(2)).encode()),
        received("availability", b"offline"),
        received("availability", b"online"),
        received("event", json.dumps(event(3)).encode()),
    ]

    assert split_epochs(messages) == [[event(1), event(2)], [event(3)]]

"""A board with the application over it, without the server around both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from serenbox.mood.types import Mood
from serenbox.outputs.messages import mood_message, stats_message
from serenbox.results import EMOTIONS
from serenbox.web.access import Access
from serenbox.web.app import Actions, make_app
from serenbox.web.board import Board

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

TOKEN = "0123456789abcdef0123"  # noqa: S105
SCORES = dict.fromkeys(EMOTIONS, 0.0) | {"happy": 0.9}
HAPPY = mood_message("box", 0.0, "sensing", Mood("happy", 0.9, SCORES, 0.0), 0.0)
LOST = mood_message("box", 0.0, "no_camera", None, 0.0)
STATS = stats_message(
    "box",
    0.0,
    "sensing",
    version="1",
    uptime=1.0,
    camera="usb",
    frames=7,
    fps=9.5,
    latency_ms={"total": {"p50": 10.0, "p95": 20.0, "p99": 30.0}},
    temperature_c=48.0,
    throttled=False,
    memory_mb=90.0,
    outputs={},
)


def got(answer: TestResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.data)
    return found


class Mqtt:
    """An output that has lost its broker."""

    name = "mqtt"

    def start(self) -> None:
        pass

    def mood(self, message: Mapping[str, Any]) -> None:
        pass

    event = stats = mood

    def close(self, timeout: float) -> None:
        pass

    def health(self) -> dict[str, Any]:
        return {"connected": False, "published": 3, "dropped": 1, "problem": "it is off"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Box:
    """A board with an application over it."""

    def __init__(self, token: str | None = None, *, preview_allowed: bool = True) -> None:
        self.clock = Clock()
        self.board = Board(
            "box",
            [Mqtt()],
            preview_allowed=preview_allowed,
            clock=self.clock,
            wall=lambda: 0.0,
        )
        self.commands: list[str] = []
        access = Access(token, frozenset({"localhost", "mood.home"}), addresses=token is not None)
        actions = Actions(
            self.commands.append,
            lambda: self.commands.append("report"),
            lambda accept: (accept.encode(), "text/plain"),
        )
        self.client: FlaskClient = make_app(self.board, access, actions).test_client()

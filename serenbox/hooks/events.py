"""Finds what happened in the messages that every output gets. Pure: no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serenbox.mood.types import NO_FACE
from serenbox.results import EMOTIONS, UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serenbox.settings.schema import HookEvent

_WITH_FACE = frozenset({*EMOTIONS, UNCERTAIN})
"""Moods of somebody who is in view."""

CAMERA = "camera"
"""`source` of a camera error; an output's errors have the output's name."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that may trigger hooks."""

    event: HookEvent
    message: dict[str, Any]
    """What a hook is told, ready for JSON; has the same `event`."""


class EventReader:
    """Finds what happened; reports each problem once, until it is over."""

    def __init__(self) -> None:
        self._troubled: set[str] = set()

    def read(self, kind: str, message: Mapping[str, Any]) -> list[Happening]:
        """Return what a message reports, in the order in which hooks should get it.

        Args:
            kind: `mood`, `event` or `stats`, as in `serenbox.outputs.base.Output`.
            message: The message.

        """
        if kind == "event":
            return _changes(message)
        if kind == "mood":
            return self._error(message, CAMERA, camera_problem(message))
        found = []
        outputs = message.get("outputs", {})
        self._troubled &= {CAMERA, *outputs}  # an output turned off has no problem any more
        for name, health in outputs.items():
            found += self._error(message, name, health.get("problem"))
        return found

    def _error(self, message: Mapping[str, Any], source: str, problem: object) -> list[Happening]:
        if not problem:
            self._troubled.discard(source)
            return []
        if source in self._troubled:
            return []
        self._troubled.add(source)
        told = {name: message[name] for name in ("schema", "device", "time", "state")}
        error = {**told, "event": "error", "source": source, "problem": problem}
        return [Happening("error", error)]


def camera_problem(message: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the camera, from a mood message; None if nothing is."""
    return message.get("problem") if message["state"] == "no_camera" else None


def _changes(message: Mapping[str, Any]) -> list[Happening]:
    mood, previous = message["mood"], message["previous"]
    found: list[HookEvent] = ["mood"]
    if mood in _WITH_FACE and previous not in _WITH_FACE:
        found.append("face")
    elif mood == NO_FACE:
        found.append("no_face")
    elif mood == "paused":
        found.append("paused")
    return [Happening(event, {**message, "event": event}) for event in found]

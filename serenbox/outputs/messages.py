"""The messages of every output: dictionaries ready for JSON, described in `docs/mqtt.md`.

Everything here is pure: times are arguments, and no clock is read.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from serenbox.mood.types import MOODS, NO_FACE
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serenbox.mood.types import Mood, TrackedFace
    from serenbox.settings.schema import Slot

State = Literal["sensing", "paused", "no_camera"]
"""What the box does: it senses, was asked to pause, or has no camera and keeps trying."""

SCHEMA = 1
"""Version of the messages: grows when a field is removed or redefined, not when one is added."""

MOOD_LABELS = (*MOODS, "paused", "no_camera")
"""Every possible value of the field `mood`."""

HEARTBEAT = 60.0
"""Maximum seconds between mood messages: the daemon repeats an unchanged one, even while paused or
without a camera, so that listeners can tell a quiet box from a dead one."""

_SCORE_DIGITS = 4


def mood_message(
    device: str,
    wall_time: float,
    state: State,
    mood: Mood | None,
    age: float,
    faces: Sequence[TrackedFace] = (),
    *,
    problem: str | None = None,
    slot: Slot | None = None,
) -> dict[str, Any]:
    """Build the message that describes the current state.

    Args:
        device: The name of the box.
        wall_time: Now, seconds since 1970.
        state: What the box does.
        mood: The current mood; None before the first one, which reads as no face. Ignored, like
            `faces`, unless the box is sensing.
        age: Seconds since the mood, or the state, began, by a monotonic clock.
        faces: All faces in view, largest first.
        problem: Why there is no camera, or why a pause will not survive a restart; None if the
            camera is just being opened, or the pause will survive.
        slot: What the diffuser does; None without a diffuser.

    """
    sensing = state == "sensing"
    known = mood if sensing else None
    seen = faces if sensing else ()
    return {
        "schema": SCHEMA,
        "device": device,
        "time": timestamp(wall_time),
        "mood": (known.label if known else NO_FACE) if sensing else state,
        "since": timestamp(wall_time - max(0.0, age)),
        "confidence": _rounded(known.confidence, _SCORE_DIGITS) if known else 0.0,
        "scores": _scores(known.scores) if known else dict.fromkeys(EMOTIONS, 0.0),
        "state": state,
        "face_count": len(seen),
        "faces": [_face(tracked) for tracked in seen],
        **({"problem": problem} if problem and not sensing else {}),
        **({"slot": slot} if slot else {}),
    }


def event_message(message: Mapping[str, Any], previous: str) -> dict[str, Any]:
    """Build the message that reports a change.

    Args:
        message: The mood message that follows the change.
        previous: The `mood` before the change, one of `MOOD_LABELS`.

    """
    return {**message, "event": "mood", "previous": previous}


def stats_message(
    device: str,
    wall_time: float,
    state: State,
    *,
    version: str,
    uptime: float,
    camera: str,
    frames: int,
    fps: float,
    latency_ms: Mapping[str, Mapping[str, float]],
    temperature_c: float | None,
    throttled: bool | None,
    memory_mb: float,
    outputs: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Build the message that reports how the box is doing.

    Args:
        device: The name of the box.
        wall_time: Now, seconds since 1970.
        state: What the box does.
        version: SerenBox's version.
        uptime: Seconds since the service started.
        camera: Its human-readable name; empty without a camera.
        frames: Frames processed since the service started.
        fps: Frames processed per second, recently.
        latency_ms: Milliseconds by stage (`capture`, `find`, `classify`, `total`), each as `p50`,
            `p95` and `p99`.
        temperature_c: Temperature of the processor in degrees Celsius; None if unknown.
        throttled: Whether heat or low voltage slows down the processor; None if unknown.
        memory_mb: Resident memory of the process, millions of bytes.
        outputs: `Output.health` of each output, by name.

    """
    return {
        "schema": SCHEMA,
        "device": device,
        "time": timestamp(wall_time),
        "state": state,
        "version": version,
        "uptime": _rounded(uptime, 1),
        "camera": camera,
        "frames": frames,
        "fps": _rounded(fps, 2),
        "latency_ms": {
            stage: {name: _rounded(value, 2) for name, value in quantiles.items()}
            for stage, quantiles in latency_ms.items()
        },
        "temperature_c": None if temperature_c is None else _rounded(temperature_c, 1),
        "throttled": throttled,
        "memory_mb": _rounded(memory_mb, 1),
        "outputs": {name: dict(health) for name, health in outputs.items()},
    }


def timestamp(wall_time: float) -> str:
    """Return a time in RFC 3339 format, in UTC with milliseconds and Z.

    Args:
        wall_time: Seconds since 1970, clamped to the years 1970 to 9999.

    """
    first, last = 0.0, 253402300799.0  # the years 1970 and 9999
    moment = datetime.fromtimestamp(min(max(wall_time, first), last), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _face(tracked: TrackedFace) -> dict[str, Any]:
    face = tracked.face
    return {
        "id": tracked.id,
        "primary": tracked.primary,
        "box": [face.box.x, face.box.y, face.box.width, face.box.height],
        "emotion": face.emotion,
        "confidence": _rounded(face.confidence, _SCORE_DIGITS),
        "scores": _scores(face.scores),
    }


def _scores(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {label: _rounded(score, _SCORE_DIGITS) for label, score in scores.items()}


def _rounded(value: float, digits: int) -> float | None:
    """Round to a plain float; JSON has no infinity and no NaN, so these become None."""
    return round(float(value), digits) if math.isfinite(value) else None

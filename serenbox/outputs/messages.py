"""The messages of every output: dictionaries ready for JSON, described in `docs/mqtt.md`.

Everything here is pure: times come in as arguments, nothing asks a clock.
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
"""What the box does: it looks; it was asked not to; it cannot and tries to again."""

SCHEMA = 1
"""Version of the messages: grows when a field goes or changes its meaning, not with new ones."""

MOOD_LABELS = (*MOODS, "paused", "no_camera")
"""Everything the field `mood` can be."""

HEARTBEAT = 60.0
"""Seconds between mood messages at most: the daemon repeats an unchanged one that often, paused or
without a camera too, so that whoever listens can tell a quiet box from a dead one."""

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
    """Build the message that tells the present.

    Args:
        device: The name of the box.
        wall_time: Now, seconds since 1970.
        state: What the box does.
        mood: The mood where it is sensing; None before the first one, which reads as no face.
            Neither it nor `faces` counts in the other states.
        age: Seconds since the mood, or the state, began; by a clock that never jumps.
        faces: Everybody in view, largest first.
        problem: Why there is no camera, or why a pause will not outlast a restart; None where it is
            but being opened, or will.
        slot: What the diffuser does; None where there is none.

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
    """Build the message that tells a change.

    Args:
        message: The mood message that follows the change.
        previous: What its `mood` was before, one of `MOOD_LABELS`.

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
    """Build the message that tells how the box is doing.

    Args:
        device: The name of the box.
        wall_time: Now, seconds since 1970.
        state: What the box does.
        version: SerenBox's.
        uptime: Seconds since the service started.
        camera: What a person would call it; empty where there is none.
        frames: Frames looked at since then.
        fps: Frames looked at per second, of late.
        latency_ms: Milliseconds by stage (`capture`, `find`, `classify`, `total`), each as `p50`,
            `p95` and `p99`.
        temperature_c: Degrees Celsius of the processor; None where nobody tells.
        throttled: Whether the processor is slowed down by heat or low voltage; None as above.
        memory_mb: Resident memory of the process, millions of bytes.
        outputs: `Output.health` by the name of the output.

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
    """Return RFC 3339 in UTC with milliseconds and Z.

    Args:
        wall_time: Seconds since 1970. What no calendar holds becomes the nearest that it does.

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

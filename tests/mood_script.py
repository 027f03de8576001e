"""Scores that are played to the mood filter, and the moods that come of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serenbox.mood.smoothing import MoodFilter
from serenbox.mood.types import Mood, Reading, TrackedFace
from serenbox.results import EMOTIONS, Box, Face
from serenbox.settings.schema import MoodSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

THRESHOLDS = dict.fromkeys(EMOTIONS, 0.5)
DEFAULTS = MoodSettings()


def showing(emotion: str, score: float = 0.9) -> dict[str, float]:
    rest = (1 - score) / (len(EMOTIONS) - 1)
    return {label: score if label == emotion else rest for label in EMOTIONS}


def reading(time: float, scores: Mapping[str, float] | None, number: int = 1) -> Reading:
    if scores is None:
        return Reading(time, ())
    face = Face(Box(0, 0, 9, 9), max(scores, key=lambda s: scores[s]), 1.0, dict(scores))
    return Reading(time, (TrackedFace(number, face, primary=True),))


def play(
    script: Callable[[float], Mapping[str, float] | None],
    seconds: float,
    fps: float = 10,
    settings: MoodSettings = DEFAULTS,
) -> list[tuple[float, Mood]]:
    """Return the time and mood of each frame; `script` gives the scores seen at a time."""
    mood_filter = MoodFilter(settings, THRESHOLDS)
    times = [n / fps for n in range(math.ceil(seconds * fps))]
    return [(time, mood_filter.update(reading(time, script(time)))) for time in times]


def changes(moods: Iterable[tuple[float, Mood]]) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    for time, mood in moods:
        if not found or mood.label != found[-1][1]:
            found.append((time, mood.label))
    return found

"""From single faces to a mood: tracking, smoothing over time, and the decision."""

from serenbox.mood.types import MOODS, NO_FACE, Mood, Reading, TrackedFace

__all__ = ["MOODS", "NO_FACE", "Mood", "Reading", "TrackedFace"]

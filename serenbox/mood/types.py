"""What is known about the people in view, from one frame and over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from serenbox.results import EMOTIONS, UNCERTAIN

if TYPE_CHECKING:
    from serenbox.results import Face

NO_FACE = "no_face"
"""The mood while nobody is seen."""

MOODS = (*EMOTIONS, UNCERTAIN, NO_FACE)
"""Everything `Mood.label` can be."""


class TrackedFace(NamedTuple):
    """A face that is the same person's from frame to frame."""

    id: int
    """Counts up from 1 for every new face; it identifies nobody."""
    face: Face
    """Where it is and what it shows in this frame."""
    primary: bool
    """Whether this face makes the mood."""


class Reading(NamedTuple):
    """What one frame shows."""

    time: float
    """The frame's time, seconds."""
    faces: tuple[TrackedFace, ...]
    """Largest first; at most one is the primary one."""

    @property
    def primary(self) -> TrackedFace | None:
        """The face that makes the mood; None if no face does."""
        return next((tracked for tracked in self.faces if tracked.primary), None)


class Mood(NamedTuple):
    """The smoothed state of the person in view."""

    label: str
    """One of `MOODS`."""
    confidence: float
    """0 to 1: the smoothed score of the emotion, or of the likeliest one if `uncertain`; 0 for
    `no_face`."""
    scores: dict[str, float]
    """The smoothed probability of each emotion, in the order of `EMOTIONS`, summing to 1; all 0 for
    `no_face`."""
    since: float
    """When it began, seconds on the frames' clock."""

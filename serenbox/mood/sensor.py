"""From a frame to the faces in it: followed from frame to frame, numbered, and read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from serenbox.mood.tracking import Tracker
from serenbox.mood.types import Reading, TrackedFace
from serenbox.overlap import SAME_FACE, corners, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serenbox.cameras.base import Frame
    from serenbox.detector import EmotionDetector
    from serenbox.overlap import Quad
    from serenbox.results import FaceLocation
    from serenbox.settings.schema import MoodSettings, SensingSettings


class Sensor:
    """Reads the faces of one frame after another. Use it from one thread at a time.

    A known face costs one run of the face finder around its last place. The whole picture is
    searched for others when there is no known face, every `search_interval` seconds, and when a
    face is lost: until it is found again, or `memory` or `search_interval` seconds have passed.

    Args:
        detector: Its face finder and its classifier are used.
        settings: How to look for faces.
        mood: Which face makes the mood: `primary_lead`, and `no_face_after`, because a face that
            has been gone for that long must not keep another from making it.

    """

    def __init__(
        self, detector: EmotionDetector, settings: SensingSettings, mood: MoodSettings
    ) -> None:
        self._detector = detector
        self._interval = settings.search_interval
        self._patience = min(settings.search_interval, settings.memory)
        self._tracker = Tracker(
            max_faces=settings.max_faces,
            memory=settings.memory,
            primary_lead=mood.primary_lead,
            primary_memory=mood.no_face_after,
        )
        self._known: list[FaceLocation] = []
        self._searched = 0.0
        self.find_seconds = 0.0
        """How long the last reading took to find the faces."""
        self.classify_seconds = 0.0
        """How long the last reading took to classify them all."""

    def replace_detector(self, detector: EmotionDetector) -> None:
        """Read the same faces with another detector from now on."""
        self._detector = detector

    def read(self, frame: Frame) -> Reading:
        """Return the faces in a frame, largest first, each with its number and its emotion.

        Args:
            frame: uint8 BGR; not older than the one before.

        Raises:
            ModelError: The face finder's model is missing, or a model failed to run.

        """
        began = time.perf_counter()
        found = self._locate(frame)
        assigned = self._tracker.update(frame.time, [location.box for location in found])
        self._known = [found[one.place] for one in assigned]
        located = time.perf_counter()
        faces = tuple(
            TrackedFace(one.id, self._detector.classify(frame.image, location), one.primary)
            for one, location in zip(assigned, self._known, strict=True)
        )
        self.find_seconds = located - began
        self.classify_seconds = time.perf_counter() - located
        return Reading(frame.time, faces)

    def _locate(self, frame: Frame) -> list[FaceLocation]:
        """Return where the faces are, each once."""
        finder = self._detector.finder
        followed = [finder.follow(frame.image, location) for location in self._known]
        faces = _distinct(location for location in followed if location)
        due = frame.time - self._searched >= self._interval or self._tracker.misses(self._patience)
        if due or not faces or None in followed:
            self._searched = frame.time
            faces += finder.find(frame.image, known=faces)
        return faces


def _distinct(locations: Iterable[FaceLocation]) -> list[FaceLocation]:
    """Return each face once, even if two followed ones have become one."""
    kept: dict[Quad, FaceLocation] = {}
    for location in locations:
        place = corners(location.box)
        if not any(overlap(place, other) > SAME_FACE for other in kept):
            kept[place] = location
    return list(kept.values())

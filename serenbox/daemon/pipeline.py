"""From a frame to a mood: everything in the service that needs the models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from serenbox.detector import EmotionDetector
from serenbox.errors import ModelError
from serenbox.mood.motion import MotionGate
from serenbox.mood.sensor import Sensor
from serenbox.mood.smoothing import MoodFilter
from serenbox.mood.types import Mood, Reading, TrackedFace

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from serenbox.cameras.base import Frame
    from serenbox.settings.schema import Settings


class Look(NamedTuple):
    """What one frame showed."""

    mood: Mood
    faces: tuple[TrackedFace, ...]
    seconds: Mapping[str, float]
    """How long `find` and `classify` took; empty if nothing moved and no model ran."""


class Pipeline:
    """Turns frames into moods. Use it from one thread at a time.

    Args:
        settings: Which models to use, and how single frames become a mood.

    Raises:
        ModelError: A model cannot be read, is damaged, or is of the wrong kind.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.

    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # OpenCV's own threads would gain nothing on pictures this small.
        cv2.setNumThreads(settings.sensing.threads)
        self._detector = make_detector(settings)
        _ = self._detector.finder  # loaded now, so that any fault in it shows now
        self.forget()

    def forget(self) -> None:
        """Forget everybody: the next frame shows another scene, or comes after a break."""
        settings = self._settings
        self._sensor = Sensor(self._detector, settings.sensing, settings.mood)
        thresholds = self._detector.classifier.metadata.scores.thresholds
        self._filter = MoodFilter(settings.mood, thresholds)
        self._gate = MotionGate(settings.sensing)
        self._somebody = False

    def go_on(self, other: Pipeline) -> None:
        """Take over the faces and the mood of another pipeline, if both work the same way."""
        if self._manner != other._manner:
            return
        self._sensor, self._filter, self._gate = other._sensor, other._filter, other._gate
        self._somebody = other._somebody
        self._sensor.replace_detector(self._detector)

    @property
    def _manner(self) -> tuple[object, ...]:
        """All that decides how people are followed and what their mood is, except the weights."""
        settings = self._settings
        return settings.sensing, settings.mood, self._detector.classifier.metadata.scores

    def look(self, frame: Frame) -> Look:
        """Return what the next frame shows.

        Raises:
            ModelError: A model fails or returns something impossible.

        """
        if not self._gate.wants(frame, somebody=self._somebody):
            # Nobody was there and nothing has moved since, so still nobody is.
            return Look(self._filter.update(Reading(frame.time, ())), (), {})
        self._somebody = True  # until the models say otherwise; they may fail before that
        reading = self._sensor.read(frame)
        for tracked in reading.faces:
            _check(tracked.face.scores)
        mood = self._filter.update(reading)
        # People missed in one frame are looked for in the next, until they count as gone.
        self._somebody = self._filter.somebody
        seconds = {"find": self._sensor.find_seconds}
        if reading.faces:
            seconds["classify"] = self._sensor.classify_seconds
        return Look(mood, reading.faces, seconds)

    def rehearse(self) -> None:
        """Run both models on an empty picture, to check that they work; raises like `look`."""
        empty: npt.NDArray[np.uint8] = np.zeros((128, 128, 3), np.uint8)
        self._detector.finder.find(empty)
        _check(self._detector.classify_cropped(empty).scores)


def make_detector(settings: Settings) -> EmotionDetector:
    """Return the detector that the settings ask for; raises like `Pipeline`."""
    sensing = settings.sensing
    return EmotionDetector(
        sensing.model or None,
        runtime=sensing.runtime,
        threads=sensing.threads,
        prior_exponent=settings.mood.prior_exponent,
        min_face_score=sensing.min_face_score,
    )


def _check(scores: Mapping[str, float]) -> None:
    if not math.isfinite(sum(scores.values())):
        raise ModelError(
            "the emotion model answers with scores that are not numbers: replace the model"
        )

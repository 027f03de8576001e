"""From a frame to a mood: everything of a service that the models are needed for."""

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
    """How long `find` and `classify` took; empty where nothing moved and no model ran."""


class Pipeline:
    """The way from a frame to a mood. Use it from one thread at a time.

    Args:
        settings: Which models, and how single frames become a mood.

    Raises:
        ModelError: A model cannot be read, is damaged, or is of another kind.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.

    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # OpenCV's own threads would gain nothing on pictures this small.
        cv2.setNumThreads(settings.sensing.threads)
        self._detector = make_detector(settings)
        _ = self._detector.finder  # loaded now, so that what is wrong with it shows now
        self.forget()

    def forget(self) -> None:
        """Forget everybody: what comes next is another scene, or later."""
        settings = self._settings
        self._sensor = Sensor(self._detector, settings.sensing, settings.mood)
        thresholds = self._detector.classifier.metadata.scores.thresholds
        self._filter = MoodFilter(settings.mood, thresholds)
        self._gate = MotionGate(settings.sensing)
        self._somebody = False

    def go_on(self, other: Pipeline) -> None:
        """Follow whom another pipeline follows, with its mood, where both would do so alike."""
        if self._manner != other._manner:
            return
        self._sensor, self._filter, self._gate = other._sensor, other._filter, other._gate
        self._somebody = other._somebody
        self._sensor.replace_detector(self._detector)

    @property
    def _manner(self) -> tuple[object, ...]:
        """What decides how people are followed and what their mood is, but for the weights."""
        settings = self._settings
        return settings.sensing, settings.mood, self._detector.classifier.metadata.scores

    def look(self, frame: Frame) -> Look:
        """Take the next frame.

        Raises:
            ModelError: A model fails or answers with something impossible.

        """
        if not self._gate.wants(frame, somebody=self._somebody):
            # Nothing moved since nobody was there, so still nobody is.
            return Look(self._filter.update(Reading(frame.time, ())), (), {})
        self._somebody = True  # until the models have said otherwise, which they may fail to do
        reading = self._sensor.read(frame)
        for tracked in reading.faces:
            _check(tracked.face.scores)
        mood = self._filter.update(reading)
        # Who was not found in one frame is looked for in the next, until they count as gone.
        self._somebody = self._filter.somebody
        seconds = {"find": self._sensor.find_seconds}
        if reading.faces:
            seconds["classify"] = self._sensor.classify_seconds
        return Look(mood, reading.faces, seconds)

    def rehearse(self) -> None:
        """Run both models on an empty picture, to see that they can; raises like `look`."""
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
            "the emotion model answers with scores that are no numbers: replace the model"
        )

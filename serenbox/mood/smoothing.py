"""From single readings to a mood that neither flickers nor lags. Pure: time comes with the frames.

Scores are averaged as logarithms (a weighted geometric mean): independent looks at one face are
evidence that multiplies, so an emotion that fits all of them beats one that scores highest in only
some. `python -m tests.benchmarks.flicker` measures what the settings do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serenbox.mood.types import NO_FACE, Mood
from serenbox.results import EMOTIONS, UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serenbox.mood.types import Reading
    from serenbox.settings.schema import MoodSettings

_EARLY = 1e-6
"""Tolerance, seconds: the times of frames are sums of floats, and 0.1 + 0.2 must not miss 0.3."""

_NOTHING = dict.fromkeys(EMOTIONS, 0.0)


class MoodFilter:
    """Turns the readings of the primary face into a mood.

    The first reading decides at once. Later, the mood is replaced by

    - an emotion, when its smoothed score reaches its threshold and leads the mood's by `margin`,
      for `dwell` seconds;
    - `uncertain`, when neither the highest score nor the mood's reaches its threshold, for
      `uncertain_after` seconds (`dwell` for somebody who has just come), or when other candidates
      have taken turns for both times together, none of them for long enough; also when faces have
      come and gone for both and `no_face_after` together, none of which had the mood's emotion;
    - `no_face`, after `no_face_after` seconds without a face.

    Frames that miss the face for less than that say nothing: they do not count towards `dwell` and
    `uncertain_after`. No mood is replaced before it is `minimum` seconds old. When another face
    becomes the primary one, the average and every wait start over.

    Args:
        settings: The constants.
        thresholds: The score that each emotion needs, 0 to 1, from the model.

    """

    def __init__(self, settings: MoodSettings, thresholds: Mapping[str, float]) -> None:
        self._settings = settings
        self._thresholds = dict(thresholds)
        self._average = ScoreAverage(settings.smoothing, settings.floor)
        self._face: int | None = None
        self._seen = -math.inf  # when any face was last seen
        self._mood: Mood | None = None
        self._wish: str | None = None
        # When the wish began, and when the first of the wishes that take turns did; frames that
        # miss the face move both forward.
        self._wished = self._doubted = 0.0
        self._strayed: float | None = None  # when a face first had another emotion than the mood
        self._time = 0.0

    @property
    def somebody(self) -> bool:
        """Whether somebody is there, as far as is known: a few missed frames do not mean gone.

        Also true for somebody who has just come and has no mood yet.
        """
        has_mood = self._mood is not None and self._mood.label != NO_FACE
        return has_mood or self._time - self._seen <= self._settings.no_face_after

    def update(self, reading: Reading) -> Mood:
        """Take in a reading and return the mood.

        Args:
            reading: Not older than the one before. For a frame that was not looked at because
                nothing moves and nobody is there, a reading without faces.

        """
        primary = reading.primary
        if reading.faces:
            self._seen = reading.time
        if primary is None:
            mood = self._without_face(reading.time)
        else:
            if primary.id != self._face:
                self._average.restart()
                self._wish = None
            self._face = primary.id
            scores = self._average.update(reading.time, primary.face.scores)
            mood = self._with_face(reading.time, scores)
        self._mood, self._time = mood, reading.time
        return mood

    def _without_face(self, time: float) -> Mood:
        mood = self._mood
        if mood is None:
            return Mood(NO_FACE, 0.0, dict(_NOTHING), time)
        gone = time - self._seen >= self._settings.no_face_after - _EARLY
        self._wished += time - self._time
        self._doubted += time - self._time
        if gone:
            self._wish = self._strayed = None
        if mood.label == NO_FACE or not gone or not self._old_enough(mood, time):
            return mood
        self._face = None
        return Mood(NO_FACE, 0.0, dict(_NOTHING), time)

    def _with_face(self, time: float, scores: dict[str, float]) -> Mood:
        mood = self._mood
        wish = self._best(mood.label if mood else NO_FACE, scores)
        if mood is None:
            return _mood(wish, scores, time)
        if wish == mood.label:
            self._wish = self._strayed = None
        elif wish != self._wish:
            self._doubted = time if self._wish is None else self._doubted
            self._strayed = time if self._strayed is None else self._strayed
            self._wish, self._wished = wish, time
        successor = self._successor(mood.label, time)
        if successor and self._old_enough(mood, time):
            self._wish = self._strayed = None
            return _mood(successor, scores, time)
        return mood if mood.label == NO_FACE else _mood(mood.label, scores, mood.since)

    def _successor(self, current: str, time: float) -> str | None:
        """Return what replaces the mood as soon as it is old enough; None if it is to stay."""
        if self._wish is None:
            return None
        if time - self._wished >= self._patience(current, self._wish) - _EARLY:
            self._doubted = self._strayed = time  # the doubt is over
            return self._wish
        patience = self._settings.dwell + self._settings.uncertain_after
        doubtful = current != UNCERTAIN and time - self._doubted >= patience - _EARLY
        return UNCERTAIN if doubtful or self._is_nobodys(current, time) else None

    def _is_nobodys(self, current: str, time: float) -> bool:
        """Return whether the mood is an emotion that no face has had for long."""
        settings = self._settings
        patience = settings.dwell + settings.uncertain_after + settings.no_face_after
        strayed = time if self._strayed is None else self._strayed
        return current in EMOTIONS and time - strayed >= patience - _EARLY

    def _best(self, current: str, scores: dict[str, float]) -> str:
        """Return what the mood would be without any waiting."""
        leader = max(scores, key=scores.__getitem__)
        if scores[leader] >= self._thresholds[leader]:
            lead = scores[leader] - scores.get(current, 0.0)
            return leader if current not in scores or lead >= self._settings.margin else current
        sure = current in scores and scores[current] >= self._thresholds[current]
        return current if sure else UNCERTAIN

    def _patience(self, current: str, wish: str) -> float:
        """Return how many seconds a wish must last."""
        waits = wish == UNCERTAIN and current != NO_FACE
        return self._settings.uncertain_after if waits else self._settings.dwell

    def _old_enough(self, mood: Mood, time: float) -> bool:
        return time - mood.since >= self._settings.minimum - _EARLY


class ScoreAverage:
    """Averages the logarithms of scores over time: exponentially, with a time constant.

    Args:
        smoothing: The time constant, seconds; 0 uses the newest scores alone.
        floor: Scores below it count as this value; above 0.

    """

    def __init__(self, smoothing: float, floor: float) -> None:
        self._smoothing = smoothing
        self._floor = floor
        self._logs: list[float] = []
        self._time = 0.0

    def restart(self) -> None:
        """Forget all scores."""
        self._logs = []

    def update(self, time: float, scores: Mapping[str, float]) -> dict[str, float]:
        """Add the scores of one moment and return the averaged scores, which sum to 1.

        Args:
            time: Seconds, not before that of the last call. The scores stand for all the time since
                then, so the average does not depend on the frame rate.
            scores: The score of each of `EMOTIONS`, 0 to 1.

        """
        logs = [math.log(max(scores[label], self._floor)) for label in EMOTIONS]
        part = self._part(time)
        if part < 1:
            logs = [old + part * (new - old) for old, new in zip(self._logs, logs, strict=True)]
        self._logs, self._time = logs, time
        top = max(logs)
        powers = [math.exp(log - top) for log in logs]
        total = sum(powers)
        return {label: power / total for label, power in zip(EMOTIONS, powers, strict=True)}

    def _part(self, time: float) -> float:
        """Return the weight of the newest scores, 0 to 1."""
        if not self._logs or not self._smoothing:
            return 1.0
        return -math.expm1((self._time - time) / self._smoothing)


def _mood(label: str, scores: dict[str, float], since: float) -> Mood:
    confidence = scores[label] if label in scores else max(scores.values())
    return Mood(label, confidence, scores, since)

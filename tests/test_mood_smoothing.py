"""When scores change the mood, and when they are uncertain."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serenbox.mood.smoothing import MoodFilter, ScoreAverage
from serenbox.mood.types import MOODS, NO_FACE
from serenbox.results import EMOTIONS, UNCERTAIN
from serenbox.settings.schema import MoodSettings
from tests.mood_script import DEFAULTS, THRESHOLDS, changes, play, reading, showing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def random_script(seed: int) -> Callable[[float], Mapping[str, float] | None]:
    """Return random scores that change every 0.2 to 4 seconds, with nobody now and then."""
    rng = np.random.default_rng(seed)
    steps: list[dict[str, float] | None] = []
    while len(steps) < 400:
        raw = [float(rng.gamma(0.2)) + 1e-9 for _ in EMOTIONS]
        scores = {label: share / sum(raw) for label, share in zip(EMOTIONS, raw, strict=True)}
        steps += [None if rng.random() < 0.15 else scores] * int(rng.choice((1, 1, 1, 5, 20)))
    return lambda time: steps[math.floor(time * 5 + 1e-6)]


def test_the_first_reading_decides_at_once() -> None:
    for scores, label in (
        (showing("sad"), "sad"),
        (showing("sad", 0.4), UNCERTAIN),
        (None, NO_FACE),
    ):
        mood = MoodFilter(DEFAULTS, THRESHOLDS).update(reading(7.0, scores))

        assert (mood.label, mood.since) == (label, 7.0)


def test_a_new_emotion_comes_once_and_within_two_seconds() -> None:
    moods = play(lambda time: showing("happy" if time < 5 else "fear"), 10)

    (_, first), (when, second) = changes(moods)
    assert (first, second) == ("happy", "fear")
    assert 5 + DEFAULTS.dwell <= when <= 7
    assert moods[-1][1].since == when
    assert moods[-1][1].confidence == pytest.approx(0.9, abs=0.01)


def test_a_short_grimace_changes_nothing() -> None:
    moods = play(lambda time: showing("angry" if 5 <= time < 5.4 else "happy"), 10)

    assert changes(moods) == [(0, "happy")]


def test_an_emotion_that_hardly_leads_does_not_replace_the_mood() -> None:
    settings = dataclasses.replace(DEFAULTS, smoothing=0.0, margin=0.3)
    close = dict.fromkeys(EMOTIONS, 0.01) | {"happy": 0.4, "sad": 0.55}
    clear = dict.fromkeys(EMOTIONS, 0.01) | {"happy": 0.2, "sad": 0.75}

    steady = play(lambda time: showing("happy") if time < 2 else close, 8, settings=settings)
    changed = play(lambda time: showing("happy") if time < 2 else clear, 8, settings=settings)

    assert [label for _, label in changes(steady)] == ["happy"]
    assert [label for _, label in changes(changed)] == ["happy", "sad"]


def test_a_mood_that_reaches_its_own_threshold_stays_under_a_leader_that_misses_its_own() -> None:
    thresholds = THRESHOLDS | {"neutral": 0.4, "happy": 0.8}
    mood_filter = MoodFilter(DEFAULTS, thresholds)
    rest = dict.fromkeys(EMOTIONS, 0.01)
    mood_filter.update(reading(0.0, showing("neutral")))

    for begin, neutral, happy, label in ((10, 0.42, 0.53, "neutral"), (30, 0.36, 0.59, UNCERTAIN)):
        scores = rest | {"neutral": neutral, "happy": happy}
        for n in range(100):
            mood = mood_filter.update(reading(begin + n / 10, scores))
        assert mood.label == label


def test_nothing_clear_becomes_uncertain_after_a_while() -> None:
    moods = play(lambda time: showing("happy", 0.9 if time < 4 else 0.3), 12)

    (_, _), (when, label) = changes(moods)
    assert label == UNCERTAIN
    assert 4 + DEFAULTS.uncertain_after <= when <= 4 + DEFAULTS.uncertain_after + 1.5
    assert moods[-1][1].confidence == max(moods[-1][1].scores.values())


def in_turn(time: float) -> dict[str, float]:
    """Two expressions, neither of which ever leads for `dwell`."""
    return showing("sad" if round(10 * time) % 8 < 4 else "angry")


@pytest.mark.parametrize("before", ["happy", NO_FACE])
def test_emotions_that_take_turns_become_uncertain(before: str) -> None:
    earlier = None if before == NO_FACE else showing(before)
    patience = DEFAULTS.dwell + DEFAULTS.uncertain_after

    moods = play(lambda time: in_turn(time) if time >= 3 else earlier, 60)

    (_, first), (when, second) = changes(moods)
    assert (first, second) == (before, UNCERTAIN)
    assert 3 + patience <= when <= 3 + patience + 1


def test_what_frames_miss_is_no_turn() -> None:
    hidden = DEFAULTS.no_face_after / 2

    def shown(time: float) -> dict[str, float] | None:
        if 4 <= time < 4 + hidden:
            return None
        return in_turn(time) if time >= 3 else showing("happy")

    _, (when, label) = changes(play(shown, 12))
    assert label == UNCERTAIN
    expected = 3 + hidden + DEFAULTS.dwell + DEFAULTS.uncertain_after
    assert expected <= when <= expected + 1


def test_what_has_become_clear_waits_for_the_least_time_of_a_mood_only() -> None:
    settings = dataclasses.replace(DEFAULTS, smoothing=0.0, minimum=10.0)

    def shown(time: float) -> dict[str, float]:
        return showing("happy" if time < 1 else "angry" if 9.8 <= time < 10.1 else "sad")

    assert [label for _, label in changes(play(shown, 15, settings=settings))] == ["happy", "sad"]


@pytest.mark.parametrize("minimum", [0.0, 1.0])
def test_after_turns_an_emotion_waits_its_whole_dwell(minimum: float) -> None:
    """What it had waited for as one of those that took turns does not count."""
    settings = dataclasses.replace(DEFAULTS, minimum=minimum, smoothing=0.0)
    moods = play(lambda time: in_turn(time) if time >= 3 else showing("happy"), 5.8, 10, settings)
    (when, last) = changes(moods)[-1]
    assert last == UNCERTAIN
    mood_filter = MoodFilter(settings, THRESHOLDS)
    for time, _ in moods:
        mood_filter.update(reading(time, in_turn(time) if time >= 3 else showing("happy")))
        if time >= when:
            break
    shown = in_turn(when)
    came = next(
        time
        for time in (when + n / 10 for n in range(1, 50))
        if mood_filter.update(reading(time, shown)).label != UNCERTAIN
    )
    assert came - when >= max(DEFAULTS.dwell, minimum)


def test_a_mood_may_go_just_when_its_least_time_is_over() -> None:
    """The times of frames are floats, and 0.3 - 0.1 is a little less than 0.2."""
    settings = dataclasses.replace(DEFAULTS, smoothing=0.0, dwell=0.0, minimum=0.2)
    mood_filter = MoodFilter(settings, THRESHOLDS)
    shown = {0.1: "happy", 0.2: "sad", 0.3: "sad"}

    moods = [mood_filter.update(reading(time, showing(label))) for time, label in shown.items()]

    assert [mood.label for mood in moods] == ["happy", "happy", "sad"]


def test_after_a_long_gap_old_scores_count_no_more() -> None:
    mood_filter = MoodFilter(DEFAULTS, THRESHOLDS)
    for n in range(50):
        mood_filter.update(reading(n / 10, showing("happy")))

    mood = mood_filter.update(reading(3600.0, showing("sad")))

    assert mood.scores["sad"] == pytest.approx(0.9)


@pytest.mark.parametrize("seed", range(20))
def test_properties_of_any_timeline(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    settings = MoodSettings(
        smoothing=float(rng.choice((0.0, 0.3, 2.0))),
        margin=float(rng.choice((0.0, 0.2))),
        dwell=float(rng.choice((0.0, 0.4))),
        minimum=float(rng.choice((0.0, 0.7, 3.0))),
        no_face_after=float(rng.choice((0.0, 1.0))),
        uncertain_after=float(rng.choice((0.0, 1.0))),
    )
    script = random_script(seed)

    moods = play(lambda time: script(time) if time < 50 else None, 60, fps=10, settings=settings)

    for (_, one), (time, other) in pairwise(moods):
        if one.label != other.label:
            assert time - one.since >= settings.minimum - 1e-5
            assert other.since == time
        else:
            assert other.since == one.since
    for _, mood in moods:
        assert mood.label in MOODS
        assert sum(mood.scores.values()) == pytest.approx(0 if mood.label == NO_FACE else 1)
        assert 0 <= mood.confidence <= 1
        assert list(mood.scores) == list(EMOTIONS)
    assert moods[-1][1].label == NO_FACE
    assert len(changes(moods)) > 2


@pytest.mark.parametrize("seed", range(20))
def test_the_timeline_does_not_depend_on_the_frame_rate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = [(str(rng.choice(EMOTIONS)), rng.uniform(0.7, 0.95)) for _ in range(6)]

    def script(time: float) -> Mapping[str, float] | None:
        step = math.floor(time / 5 + 1e-6)
        return showing(*steps[step]) if step < len(steps) else None

    slow, fast = (changes(play(script, 35, fps)) for fps in (5, 30))

    assert [label for _, label in slow] == [label for _, label in fast]
    for (one, _), (other, _) in zip(slow, fast, strict=True):
        assert abs(one - other) <= 1 / 5 + 1e-6


def test_the_average_depends_on_time_and_not_on_frames() -> None:
    once, often = (ScoreAverage(0.5, 1e-3) for _ in range(2))
    once.update(0.0, showing("happy"))
    often.update(0.0, showing("happy"))

    expected = once.update(1.0, showing("sad"))
    for n in range(1, 11):
        found = often.update(n / 10, showing("sad"))

    assert found == pytest.approx(expected)


@pytest.mark.parametrize("floor", [0.001, 0.01])
def test_no_score_counts_for_less_than_the_floor(floor: float) -> None:
    sure = dict.fromkeys(EMOTIONS, 0.0) | {"happy": 1.0}

    average = ScoreAverage(0.0, floor).update(0.0, sure)

    total = 1 + floor * (len(EMOTIONS) - 1)
    assert average["sad"] == pytest.approx(floor / total)
    assert average["happy"] == pytest.approx(1 / total)


def test_no_odd_frame_rules_an_emotion_out() -> None:
    average = ScoreAverage(1.0, 0.001)
    never = dict.fromkeys(EMOTIONS, 0.0) | {"sad": 1.0}
    average.update(0.0, showing("happy", 0.99))
    average.update(0.1, never)

    scores = average.update(0.5, showing("happy", 0.99))

    assert max(scores, key=lambda label: scores[label]) == "happy"

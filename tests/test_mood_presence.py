"""The mood of who comes and leaves, is missed by frames, or passes by."""

from __future__ import annotations

import dataclasses

import pytest

from serenbox.mood.smoothing import MoodFilter
from serenbox.mood.types import NO_FACE, Reading
from serenbox.results import UNCERTAIN
from tests.mood_script import DEFAULTS, THRESHOLDS, changes, play, reading, showing


def test_who_leaves_is_gone_after_no_face_after() -> None:
    moods = play(lambda time: showing("happy") if time < 3 else None, 8)

    (_, first), (when, second) = changes(moods)
    assert (first, second) == ("happy", NO_FACE)
    assert when == pytest.approx(2.9 + DEFAULTS.no_face_after)
    last = moods[-1][1]
    assert last.confidence == 0
    assert list(last.scores.values()) == [0] * 7
    before = next(mood for time, mood in moods if time == 4.0)
    assert before.label == "happy"
    assert before.confidence == pytest.approx(0.9, abs=0.01)


def test_a_face_that_is_hidden_for_a_moment_keeps_its_mood() -> None:
    moods = play(lambda time: None if 3 <= time < 4.5 else showing("happy"), 8)

    assert changes(moods) == [(0, "happy")]


def test_who_comes_is_seen_after_the_dwell() -> None:
    sure = play(lambda time: None if time < 3 else showing("sad"), 6)
    unsure = play(lambda time: None if time < 3 else showing("sad", 0.4), 6)

    for moods, label in ((sure, "sad"), (unsure, UNCERTAIN)):
        (_, first), (when, second) = changes(moods)
        assert (first, second) == (NO_FACE, label)
        assert when == pytest.approx(3 + DEFAULTS.dwell)


@pytest.mark.parametrize("every", [2, 3, 6])
def test_frames_that_miss_a_face_say_nothing_about_the_mood(every: int) -> None:
    """A dim room: the face is not found in each frame, but it is there."""

    def shown(time: float) -> dict[str, float] | None:
        missed = round(time * 10) % every == 0
        return None if missed or time < 3 else showing("sad" if time < 10 else "happy")

    seen = (every - 1) / every  # the share of frames that count

    (_, nobody), (came, first), (when, second) = changes(play(shown, 20))
    assert (nobody, first, second) == (NO_FACE, "sad", "happy")
    assert came - 3 == pytest.approx(DEFAULTS.dwell / seen, abs=0.25)
    assert DEFAULTS.dwell / seen <= when - 10 <= 2 / seen


def test_uncertain_comes_although_frames_miss_the_face() -> None:
    moods = play(lambda time: None if round(time * 10) % 6 == 0 else showing("sad", 0.3), 12)
    moods = [each for each in moods if each[0] > 0]  # the first one decides at once

    assert changes(moods)[-1][1] == UNCERTAIN


def test_passers_by_make_no_mood_together() -> None:
    """Each looks sad, but not for long enough."""
    mood_filter = MoodFilter(DEFAULTS, THRESHOLDS)
    mood_filter.update(reading(0.0, None))
    for n in range(1, 200):
        shown = n % 20 < 5
        each = reading(n / 10, showing("sad") if shown else None, number=n // 20 + 1)
        assert mood_filter.update(each).label == NO_FACE


@pytest.mark.parametrize("every", [1.1, 1.5, 1.9])
def test_of_passers_by_who_do_not_share_it_no_mood_is_left(every: float) -> None:
    """Each is seen in one frame, so that none replaces the mood of who was there before them."""
    patience = DEFAULTS.dwell + DEFAULTS.uncertain_after + DEFAULTS.no_face_after
    mood_filter = MoodFilter(DEFAULTS, THRESHOLDS)
    moods = []
    for n in range(300):
        number, frame = divmod(n, round(10 * every))
        happy = n <= 50
        shown = showing("happy") if happy else showing("sad") if frame == 0 else None
        each = reading(n / 10, shown, number=1 if happy else number)
        moods.append((n / 10, mood_filter.update(each)))

    (_, first), (when, second) = changes(moods)
    assert (first, second) == ("happy", UNCERTAIN)
    assert 5 + patience <= when <= 5 + patience + 2 * every


def test_a_single_other_face_between_rare_frames_changes_nothing() -> None:
    settings = dataclasses.replace(DEFAULTS, minimum=0.0)
    mood_filter = MoodFilter(settings, THRESHOLDS)
    for n in range(20):
        shown = showing("sad" if n == 10 else "happy")
        assert mood_filter.update(reading(10.0 * n, shown)).label == "happy"


def test_two_glimpses_far_apart_make_no_mood() -> None:
    glimpses = (3.0, 4.8, 6.6)
    moods = play(lambda time: showing("sad") if round(time, 1) in glimpses else None, 12)

    assert changes(moods) == [(0, NO_FACE)]


def test_glimpses_with_nobody_in_between_never_add_up() -> None:
    every = round(10 * DEFAULTS.no_face_after) + 5  # frames
    moods = play(lambda time: showing("sad") if round(10 * time) % every == 1 else None, 60)

    assert changes(moods) == [(0, NO_FACE)]


def test_who_comes_back_after_no_face_begins_a_new_average() -> None:
    settings = dataclasses.replace(DEFAULTS, smoothing=30.0)

    def shown(time: float) -> dict[str, float] | None:
        return None if 5 <= time < 9 else showing("happy" if time < 5 else "sad")

    moods = play(shown, 12, settings=settings)

    assert [label for _, label in changes(moods)] == ["happy", NO_FACE, "sad"]
    assert moods[-1][1].confidence == pytest.approx(0.9)


def test_another_primary_face_begins_a_new_average() -> None:
    mood_filter = MoodFilter(DEFAULTS, THRESHOLDS)
    for n in range(50):
        mood_filter.update(reading(n / 10, showing("happy"), number=1))

    mood = mood_filter.update(reading(5.0, showing("sad"), number=2))

    assert mood.label == "happy"
    assert mood.scores["sad"] == pytest.approx(0.9)


def test_faces_of_which_none_is_primary_hold_the_mood() -> None:
    mood_filter = MoodFilter(DEFAULTS, THRESHOLDS)
    first = mood_filter.update(reading(0.0, showing("happy")))
    other = reading(0.5, showing("sad"), 2).faces[0]._replace(primary=False)

    assert mood_filter.update(Reading(0.5, (other,))) == first


def test_nobody_is_not_said_while_anybody_is_seen() -> None:
    """The primary face has left, and the other is missed just when it would become primary."""
    mood_filter = MoodFilter(DEFAULTS, THRESHOLDS)
    mood_filter.update(reading(0.0, showing("happy")))
    for n in range(1, 21):
        other = reading(n / 10, showing("sad"), 2).faces[0]._replace(primary=False)
        assert mood_filter.update(Reading(n / 10, (other,))).label == "happy"
    assert mood_filter.update(reading(2.1, None)).label == "happy"
    assert mood_filter.update(reading(4.0, None)).label == NO_FACE


def test_while_a_mood_is_held_its_owner_counts_as_there() -> None:
    settings = dataclasses.replace(DEFAULTS, minimum=10.0, no_face_after=0.5)
    mood_filter = MoodFilter(settings, THRESHOLDS)
    mood_filter.update(reading(0.0, showing("happy")))
    for time in (5.0, 9.9):
        assert mood_filter.update(reading(time, None)).label == "happy"
        assert mood_filter.somebody
    assert mood_filter.update(reading(10.0, None)).label == NO_FACE
    assert not mood_filter.somebody


@pytest.mark.parametrize("no_face_after", [0.0, 2.0])
def test_who_has_just_come_counts_as_somebody_as_long_as_others(no_face_after: float) -> None:
    settings = dataclasses.replace(DEFAULTS, no_face_after=no_face_after)
    mood_filter = MoodFilter(settings, THRESHOLDS)
    came, somebody = 1.0, []
    for time in (0.0, came, came + no_face_after, came + no_face_after + 0.1):
        seen = showing("sad") if time == came else None
        assert mood_filter.update(reading(time, seen)).label == NO_FACE
        somebody.append(mood_filter.somebody)

    assert somebody == [False, True, True, False]

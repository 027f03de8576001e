"""Sums per minute, and the steps of local time into which minutes are gathered."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from serenbox.history.minutes import SILENCE, MinuteSums, Summary
from serenbox.history.steps import boundaries, gather, midnights, present_labels
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

WALL = 60.0 * 29_000_000
SCORES = dict.fromkeys(EMOTIONS, 0.0)


def seconds(summary: Summary) -> dict[str, float]:
    named = zip(MOOD_LABELS, summary.seconds, strict=True)
    return {label: value for label, value in named if value}


@pytest.fixture
def sums() -> MinuteSums:
    return MinuteSums()


def test_seconds_go_to_the_mood_that_held_and_to_its_minute(sums: MinuteSums) -> None:
    sums.tell(100.0, WALL + 30, "happy", SCORES)
    sums.tell(120.0, WALL + 50, "paused", SCORES)
    sums.tell(135.0, WALL + 65, "happy", SCORES)

    first, second = sums.peek()
    assert (first.minute, seconds(first)) == (29_000_000, {"happy": 20.0, "paused": 10.0})
    assert (second.minute, seconds(second)) == (29_000_001, {"paused": 5.0})
    assert [one.minute for one in sums.take_finished()] == [29_000_000]
    assert sums.take_finished() == []
    assert [one.minute for one in sums.take_all()] == [29_000_001]


def test_scores_are_weighted_by_time_while_a_face_is_seen(sums: MinuteSums) -> None:
    sums.tell(0.0, WALL, "happy", {**SCORES, "happy": 0.9, "sad": 0.1})
    sums.tell(30.0, WALL + 30, "uncertain", {**SCORES, "happy": 0.3, "sad": None})
    sums.tell(40.0, WALL + 40, "no_face", {**SCORES, "happy": 0.5})
    sums.count(60.0, WALL + 60)

    (summary,) = sums.take_all()
    assert summary.known == 60
    assert summary.seen == 40
    means = dict(zip(EMOTIONS, summary.mean_scores or (), strict=True))
    assert means["happy"] == pytest.approx((0.9 * 30 + 0.3 * 10) / 40)
    assert means["sad"] == pytest.approx(0.1 * 30 / 40)


def test_no_face_has_no_scores(sums: MinuteSums) -> None:
    sums.tell(0.0, WALL, "no_face", SCORES)
    sums.count(5.0, WALL + 5)
    assert sums.take_all()[0].mean_scores is None


def test_nothing_is_known_of_silence_and_of_unknown_moods(sums: MinuteSums) -> None:
    sums.tell(0.0, WALL, "happy", SCORES)
    sums.tell(1000.0, WALL + 1000, "hungry", SCORES)
    sums.count(1030.0, WALL + 1030)
    assert sum(one.known for one in sums.take_all()) == SILENCE


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_is_set_loses_no_second(sums: MinuteSums, jump: float) -> None:
    for now in range(0, 121, 20):
        wall = WALL + now + (jump if now > 60 else 0)
        sums.tell(float(now), wall, "sad", SCORES)

    minutes = {one.minute: seconds(one)["sad"] for one in sums.take_all()}
    moved = 29_000_001 + int(jump // 60)
    # The stretch in which the clock was set counts from its beginning, by the old time.
    assert minutes == {29_000_000: 60, 29_000_001: 20, moved: 40}
    assert (sums.jumped_ahead is not None) is (jump > 0)


@pytest.mark.parametrize("jump", [-61.0, -59.0, 59.0, 61.0])
def test_a_clock_that_is_put_right_by_less_than_a_minute_was_not_set(
    sums: MinuteSums, jump: float
) -> None:
    sums.tell(0.0, WALL, "sad", SCORES)
    sums.count(10.0, WALL + 10 + jump)

    assert sums.jumped_ahead == (10.0 if jump > 60 else None)
    assert sums.jumped_back == (10.0 if jump < -60 else None)


def test_a_clock_that_runs_a_little_fast_or_slow_changes_nothing(sums: MinuteSums) -> None:
    for now in range(0, 3600, 10):
        sums.tell(float(now), WALL + now * 1.0001, "sad", SCORES)
    assert sum(one.known for one in sums.take_all()) == pytest.approx(3590)
    assert sums.jumped_ahead is None


def test_forgetting_keeps_the_mood(sums: MinuteSums) -> None:
    sums.tell(0.0, WALL, "happy", SCORES)
    sums.count(10.0, WALL + 10)
    sums.forget()
    sums.count(15.0, WALL + 15)
    assert seconds(sums.take_all()[0]) == {"happy": 5}


# --- steps ---------------------------------------------------------------------------------------


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
SPRING = 1_774_746_000.0  # 2026-03-29 03:00 in Berlin, where there was no hour from two to three


@pytest.mark.parametrize("zone", [BERLIN], indirect=True)
def test_a_day_of_local_time_may_have_23_hours(zone: str) -> None:
    del zone
    edges = midnights(SPRING, 2)
    assert [time.strftime("%d %H:%M", time.localtime(edge)) for edge in edges] == [
        "28 00:00",
        "29 00:00",
        "30 00:00",
    ]
    assert [b - a for a, b in itertools.pairwise(edges)] == [24 * 3600, 23 * 3600]


@pytest.mark.parametrize("zone", ["<+0545>-5:45", BERLIN], indirect=True)
def test_hours_begin_at_full_ones_of_local_time(zone: str) -> None:
    del zone
    now = SPRING + 86400 + 1234
    edges = boundaries(now, 3, 60)
    assert {time.localtime(edge).tm_min for edge in edges} == {0}
    assert edges[-2] <= now < edges[-1]
    assert len(edges) == 4


def test_parts_are_added_up_in_their_step() -> None:
    happy = tuple(float(label == "happy") for label in MOOD_LABELS)
    sad = tuple(float(label == "sad") for label in MOOD_LABELS)
    parts = [(9, happy), (10, happy), (14, sad), (15, happy), (20, sad)]
    steps = gather(parts, [600.0, 900.0, 1200.0])
    assert [(step.begin, step.end, step.known) for step in steps] == [(600, 900, 2), (900, 1200, 1)]
    assert present_labels(steps) == ["happy", "sad"]
    assert present_labels(steps[1:]) == ["happy"]


@pytest.mark.parametrize("zone", [BERLIN], indirect=True)
@pytest.mark.parametrize("days", [1, 2, 3])
def test_the_times_below_a_plot_are_apart(
    zone: str, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even on the day without an hour from two to three; of two days each has its name."""
    del zone
    pytest.importorskip("matplotlib")
    from serenbox.history import plot

    drawn: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr(plot, "as_png", keep)
    plot.draw_history([("", gather([], boundaries(SPRING + 18 * 3600, days * 24, 60)))])
    (axes,) = drawn[0].axes
    ticks = axes.get_xticks()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert len(labels) <= 13
    assert min(b - a for a, b in itertools.pairwise(ticks)) >= 2 * 3600
    assert "03:00" not in labels
    named = [label for label in labels if ":" not in label]
    assert named == {1: [], 2: ["Sat 28 Mar", "Sun 29 Mar"]}.get(days, labels)

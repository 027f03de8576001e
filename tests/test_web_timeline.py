from __future__ import annotations

import pytest

from serenbox.web.timeline import MINUTES, Timeline

WALL = 1_700_000_000.0


def total(timeline: Timeline, period: str, now: float) -> dict[str, float]:
    sums: dict[str, float] = {}
    for step in timeline.history(period, now, WALL):
        for label, seconds in step["seconds"].items():
            sums[label] = sums.get(label, 0) + seconds
    return sums


def test_seconds_go_to_the_mood_that_held() -> None:
    timeline = Timeline()
    timeline.add(600.0, "happy")
    timeline.add(690.0, "neutral")
    timeline.add(700.0, "neutral")

    steps = timeline.history("hour", 705.0, WALL)

    assert len(steps) == 60
    assert [step["seconds"] for step in steps[-2:]] == [
        {"happy": 60.0},
        {"happy": 30.0, "neutral": 15.0},
    ]
    assert steps[0]["seconds"] == {}


def test_the_time_of_a_step_is_when_it_began() -> None:
    timeline = Timeline()
    timeline.add(630.0, "sad")

    last = timeline.history("hour", 640.0, 1_000_000.0)[-1]

    assert last["time"] == "1970-01-12T13:46:00.000Z"  # forty seconds before the wall clock


def test_a_wall_clock_that_jumps_takes_the_history_with_it() -> None:
    timeline = Timeline()
    timeline.add(600.0, "happy")
    now = 650.0

    for jump in (-86400.0, 0.0, 86400.0):
        steps = timeline.history("day", now, WALL + jump)
        assert steps[-1]["seconds"] == {"happy": 50.0}


def test_nothing_is_known_while_the_box_is_silent() -> None:
    timeline = Timeline()
    timeline.add(0.0, "happy")

    assert total(timeline, "hour", 3000.0) == {"happy": pytest.approx(90)}

    timeline.add(3000.0, "happy")
    assert total(timeline, "hour", 3010.0) == {"happy": pytest.approx(100)}


def test_what_is_older_than_the_period_is_left_out() -> None:
    timeline = Timeline()
    for second in range(0, 3 * 24 * 3600, 60):
        timeline.add(float(second), "sad" if second < 2 * 24 * 3600 else "happy")
    now = 3.0 * 24 * 3600 - 1

    assert set(total(timeline, "day", now)) == {"happy"}
    assert total(timeline, "day", now)["happy"] == pytest.approx(24 * 3600, abs=2)
    assert total(timeline, "hour", now)["happy"] == pytest.approx(3600, abs=2)
    assert len(timeline._minutes) == MINUTES


def test_an_unknown_mood_counts_as_nothing() -> None:
    timeline = Timeline()
    timeline.add(0.0, "hungry")
    assert total(timeline, "hour", 30.0) == {}

from __future__ import annotations

import pytest

from serenbox.mood.timeline import Span, Timeline, totals
from serenbox.mood.types import NO_FACE, Mood


def test_spans_follow_each_other_and_keep_the_mean_confidence() -> None:
    timeline = Timeline()
    moods = ["happy"] * 4 + ["sad"] * 2 + ["happy"]
    for n, label in enumerate(moods):
        timeline.add(n / 10, Mood(label, n / 10, {}, 0.0))

    spans = timeline.spans

    assert timeline.frames == 7
    assert spans == [
        Span(0.0, 0.4, "happy", pytest.approx(0.15)),  # type: ignore[arg-type]
        Span(0.4, 0.6, "sad", pytest.approx(0.45)),  # type: ignore[arg-type]
        Span(0.6, pytest.approx(0.7), "happy", pytest.approx(0.6)),  # type: ignore[arg-type]
    ]
    assert totals(spans) == {"happy": pytest.approx(0.5), "sad": pytest.approx(0.2)}


def test_frames_that_are_missing_do_not_make_the_last_one_longer() -> None:
    timeline = Timeline()
    for time in (0.0, 0.1, 0.2, 1.9):
        timeline.add(time, Mood("happy", 1.0, {}, 0.0))

    assert timeline.spans[-1].end == pytest.approx(2.0)


def test_no_frame_and_one_frame() -> None:
    timeline = Timeline()
    assert timeline.spans == []
    assert totals([]) == {}

    timeline.add(3.0, Mood(NO_FACE, 0.0, {}, 3.0))

    assert timeline.spans == [Span(3.0, 3.0, NO_FACE, 0.0)]

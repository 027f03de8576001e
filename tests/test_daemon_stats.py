from __future__ import annotations

import pytest

from serenbox.daemon.stats import FrameStats, percentiles


def test_percentiles_by_nearest_rank() -> None:
    assert percentiles(range(1, 101)) == {50: 50, 95: 95, 99: 99}
    assert percentiles([3.0]) == {50: 3.0, 95: 3.0, 99: 3.0}
    assert percentiles([4, 1, 3, 2]) == {50: 2, 95: 4, 99: 4}
    assert percentiles([]) == {}


def test_frames_per_second_of_late() -> None:
    stats = FrameStats()
    for number in range(200):
        stats.add(number / 5, {})
    assert stats.frames == 200
    assert stats.fps(199 / 5) == pytest.approx(5)
    for silence in (1, 3, 4.9, 9):
        assert stats.fps(199 / 5 + silence) == pytest.approx(5 * (10 - silence) / 10, abs=0.2)


@pytest.mark.parametrize("gap", [1.0, 5.0, 7.0, 10.0])
def test_slow_frames_are_no_stall(gap: float) -> None:
    stats = FrameStats()
    for number in range(20):
        stats.add(number * gap, {})
    for part in (0.0, 0.5, 0.99):
        assert stats.fps((19 + part) * gap) == pytest.approx(1 / gap, rel=0.15)


def test_after_a_long_stall_nothing_is_left() -> None:
    stats = FrameStats()
    for number in range(200):
        stats.add(number / 5, {})
    assert stats.fps(199 / 5 + 20) == 0


def test_no_frames_yet() -> None:
    stats = FrameStats()
    assert stats.fps(3) == 0
    assert stats.latency_ms() == {}
    stats.add(1, {})
    assert stats.fps(1) == 0


def test_latency_by_stage_in_milliseconds() -> None:
    stats = FrameStats()
    for number in range(100):
        seconds = {"find": 0.001, "total": number / 1000}
        stats.add(number, seconds if number % 2 else {"find": 0.003})
    latency = stats.latency_ms()
    assert latency["find"] == pytest.approx({"p50": 1, "p95": 3, "p99": 3})
    assert latency["total"] == pytest.approx({"p50": 49, "p95": 95, "p99": 99})


def test_memory_is_limited_and_old_figures_are_forgotten() -> None:
    stats = FrameStats()
    for number in range(20_000):
        stats.add(number / 1000, {"total": 1.0 if number < 10_000 else 0.001})
    assert stats.latency_ms()["total"]["p99"] == pytest.approx(1)
    assert len(stats._moments) < 5000
    assert all(len(latest) < 1000 for latest in stats._latencies.values())
    assert stats.fps(20) == pytest.approx(1000, rel=0.01)

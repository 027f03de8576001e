"""A short measurement of the server's speed, and whether it finds what falls short."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.server.load import Answers, Load, Measured

if TYPE_CHECKING:
    from pathlib import Path


def answers(**delays: list[float]) -> Answers:
    return Answers(seconds=1, delays={int(code[1:]): times for code, times in delays.items()})


def test_short_run(portrait_file: Path, tmp_path: Path) -> None:
    """Check that all is answered, not how fast: that depends on what else the machine does."""
    cores = os.sched_getaffinity(0)

    measured = Load(portrait_file, tmp_path / "log", seconds=0.5, rounds=1).run()

    assert len(measured.shares) == 1
    assert measured.shares[0] > 0
    assert measured.refused == 0
    assert set(measured.overload.delays) <= {200, 503}
    assert measured.overload.requests > 0
    assert measured.overload.server > 0
    assert os.sched_getaffinity(0) == cores


@pytest.mark.parametrize(
    ("overload", "problem"),
    [
        (answers(_200=[0.1] * 9, _503=[0.1]), ""),
        (answers(_200=[0.1] * 9), "what should be overload was none"),
        (answers(_0=[0.1], _503=[0.1] * 9), "under overload 1 requests got no answer"),
        (answers(_500=[0.1], _503=[0.1] * 9), "under overload came answers with [500]"),
        (answers(_200=[2.0] * 9, _503=[0.1]), "under overload p99 is"),
    ],
)
def test_what_is_wrong_under_overload_is_found(overload: Answers, problem: str) -> None:
    found = overload.problems()

    assert [one[: len(problem)] for one in found] == [problem][: len(found)]
    assert bool(found) == bool(problem)


def test_what_falls_short_is_found() -> None:
    well = answers(_200=[0.1] * 9, _503=[0.1])

    assert Measured(shares=[0.1, 0.71, 0.8], overload=well).problems() == []
    assert len(Measured(shares=[0.6, 0.65, 0.9], refused=1, overload=well).problems()) == 2

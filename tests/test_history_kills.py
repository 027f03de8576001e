"""Small runs of the history's benchmarks: a few days, kills and losses of power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.history.reading import read_extent, read_summaries
from tests.benchmarks.history import (
    DAY,
    LARGEST_MB,
    _judge,
    damage,
    kill_again_and_again,
    write_days,
    write_longest,
)
from tests.benchmarks.power_cut import Step, cut_off, record

if TYPE_CHECKING:
    from pathlib import Path


def test_killed_again_and_again(tmp_path: Path) -> None:
    outcome = kill_again_and_again(tmp_path / "killed.db", 4, speed=50)

    assert outcome.problems == []
    assert outcome.count == 4
    assert outcome.ended >= 1
    assert outcome.minutes >= outcome.ended


def test_a_year_is_small_enough(tmp_path: Path) -> None:
    end = 1_774_800_000.0
    write_days(tmp_path / "days.db", 10, end)
    write_longest(tmp_path / "longest.db", 10)

    first, last, minutes = read_extent(tmp_path / "days.db")
    assert first == int(end // 60) - 10 * DAY
    assert last - first + 1 == minutes
    assert last in {int(end // 60) - 181, int(end // 60) - 180}  # off for the last three hours
    known = [one.known for one in read_summaries(tmp_path / "days.db", first, last)]
    assert {round(seconds, 1) for seconds in known} == {60.0}  # but for the last one
    for name in ("days", "longest"):
        assert (tmp_path / f"{name}.db").stat().st_size / 1e6 * 36.5 <= LARGEST_MB


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    path = tmp_path / "longest.db"
    write_longest(path, 1)
    found = {one.minute: one for one in read_summaries(path, 0, 1 << 40)}
    first = min(found)
    assert next(_judge(first, found, 1441)) == "1441 minutes were written, and 1440 are there"
    assert any("has 660.000 s" in text for text in _judge(first, found, 0))
    del found[first + 5]
    assert any("a minute is missing" in text for text in _judge(first, found, 0))
    with path.open("r+b") as file:
        file.seek(10 * 4096)
        file.write(b"\xa5" * 4096)
    assert damage(path)


def test_the_power_goes(tmp_path: Path) -> None:
    steps = record(tmp_path / "history.db", tmp_path / "trace", 300)

    assert any(step == Step("sync") for step in steps)  # the database itself was synced, too
    assert cut_off(steps, tmp_path, 60) == []
    careless = [step for step in steps if step.kind != "sync" or step.file != "-wal"]
    assert cut_off(careless, tmp_path, 30) != []

"""Reading the database in pieces, while others write to it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from serenbox.errors import HistoryDamagedError, HistoryError
from serenbox.history.database import Database
from serenbox.history.files import delete_files
from serenbox.history.minutes import Summary
from serenbox.history.reading import read_summaries
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS
from tests.rights import NOBODY, acting_as

DAY = 1440


def summary(minute: int) -> Summary:
    """Return a minute that tells which one it is."""
    seconds = (minute / 1000,) + (0.0,) * (len(MOOD_LABELS) - 1)
    return Summary(minute, seconds, (0.5,) * len(EMOTIONS))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def test_a_history_in_a_folder_that_is_somebody_else_s_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:  # one that another user can reach
        path = Path(folder) / "history.db"
        with Database(path) as database:
            database.add([summary(5)])
        path.chmod(0o444)
        path.parent.chmod(0o555)
        with acting_as(os.geteuid() or NOBODY):
            assert list(read_summaries(path, 0, 10)) == [summary(5)]
        path.parent.chmod(0o755)
        assert list(path.parent.iterdir()) == [path]


def test_a_slow_reader_holds_up_neither_removal_nor_the_log(path: Path) -> None:
    with Database(path) as database, closing(sqlite3.connect(path, timeout=0)) as other:
        database.add(summary(minute) for minute in range(3 * DAY))
        reading = read_summaries(path, 0, 3 * DAY)
        for minute in (0, DAY):  # where it stops each time
            assert next(one for one in reading if one.minute >= minute) == summary(minute)
            database.prune(minute + 1, DAY)
            (busy, _, _) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
            assert path.with_name("history.db-wal").stat().st_size == 0
        assert list(reading) == [summary(minute) for minute in range(DAY + 1, 3 * DAY)]


@pytest.mark.parametrize("step", [1, 7, 15, DAY, DAY + 1, 5 * DAY])
def test_no_minute_is_lost_or_counted_twice_between_pieces(path: Path, step: int) -> None:
    first, end = 1000, 7 * DAY
    gaps = (range(2 * DAY, 2 * DAY + 50), range(3 * DAY, 5 * DAY + 3))
    kept = [minute for minute in range(end + 10) if not any(minute in gap for gap in gaps)]
    with Database(path) as database:
        database.add(map(summary, kept))

    sums: dict[int, int] = {}
    for minute in kept:
        if first <= minute < end:
            begin = first + (minute - first) // step * step
            sums[begin] = sums.get(begin, 0) + minute
    found = [(one.minute, one.seconds[0]) for one in read_summaries(path, first, end, step)]
    assert found == [(begin, total / 1000) for begin, total in sums.items()]


@pytest.mark.parametrize("begun_anew", [False, True])
def test_a_history_that_is_removed_while_it_is_read_is_not_called_damaged(
    path: Path, *, begun_anew: bool
) -> None:
    with Database(path) as database:
        database.add(summary(minute) for minute in range(3 * DAY))
    reading = read_summaries(path, 0, 3 * DAY)
    assert next(reading) == summary(0)
    delete_files(path)
    if begun_anew:
        Database(path).close()
    with pytest.raises(HistoryError, match="removed the history while it was being") as raised:
        list(reading)
    assert not isinstance(raised.value, HistoryDamagedError)

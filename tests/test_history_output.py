"""The history output by itself, with clocks that a test sets, and real files."""

from __future__ import annotations

import functools
import logging
import os
import resource
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.history import kept_file
from serenbox.history import output as module
from serenbox.history.database import Database
from serenbox.history.files import files_set_aside
from serenbox.history.output import AHEAD, HistoryOutput
from serenbox.history.reading import read_extent, read_summaries
from serenbox.outputs.messages import MOOD_LABELS, mood_message
from serenbox.outputs.select import make_outputs
from serenbox.settings.schema import HistorySettings, Settings
from serenbox.web.board import Board
from tests.daemon_process import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from serenbox.history.minutes import Summary

FIRST = 29_000_000
DAY = 24 * 60


def message(label: str) -> dict[str, Any]:
    made = mood_message("box", 0.0, "sensing", None, 0.0)
    return {**made, "mood": label, "scores": {"happy": 0.9}}


class Clocks:
    """A clock that never jumps, and one that does."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ahead = FIRST * 60 - self.now

    def wall(self) -> float:
        return self.now + self.ahead


class Box:
    """An output, and what gives it moods."""

    def __init__(self, path: Path, days: int = 30) -> None:
        self.path = path
        self.clocks = Clocks()
        self.synchronized = path.with_name("synchronized")
        self.output = self._make(days)

    def _make(self, days: int) -> HistoryOutput:
        clocks = self.clocks
        settings = HistorySettings(enabled=True, days=days)
        made = HistoryOutput(
            settings,
            self.path,
            clock=lambda: clocks.now,
            wall=clocks.wall,
            synchronized=self.synchronized,
        )
        made.start()
        return made

    def restart(self, days: int = 30) -> None:
        """Close the output and start another one with the same clocks."""
        self.output.close(30)
        self.output = self._make(days)

    def live(self, minutes: float, label: str = "happy") -> None:
        """Give the output this mood every ten seconds for so many minutes."""
        for _ in range(round(minutes * 6)):
            self.output.mood(message(label))
            self.clocks.now += 10
        self.output.mood(message(label))

    def wait_written(self, minutes: int) -> None:
        """Wait until the output has written so many minutes since its start."""
        wait_for(lambda: self.output.health()["published"] >= minutes, f"{minutes} minutes")

    def kept(self) -> dict[int, float]:
        """Return how many seconds of each minute are known, counted from `FIRST`."""
        return {one.minute - FIRST: one.known for one in read_summaries(self.path, 0, 1 << 40)}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state" / "history.db")
    yield made
    made.output.close(30)
    assert not made.output._thread.is_alive()


def test_it_is_off_and_imported_only_where_it_is_on(tmp_path: Path) -> None:
    assert "history" not in [one.name for one in make_outputs(Settings(), print)]
    on = Settings(history=HistorySettings(enabled=True))
    path = tmp_path / "none" / "history.db"
    made = make_outputs(on, print, history=path)
    assert [one.name for one in made] == ["stdout", "history"]
    made[-1].close(1)  # it was never started
    assert not path.parent.exists()


def test_a_minute_is_written_when_it_ends_and_the_rest_at_the_end(box: Box) -> None:
    box.live(2.5)
    box.wait_written(2)
    assert box.kept() == {0: 60, 1: 60}
    assert box.output.health() == {
        "connected": True,
        "published": 2,
        "dropped": 0,
        "problem": None,
        "file": str(box.path),
        "deletions": 0,
    }
    box.output.close(30)
    assert box.kept() == {0: 60, 1: 60, 2: 30}
    assert [file.name for file in box.path.parent.iterdir()] == ["history.db"]


def test_a_minute_is_there_before_it_ends_and_whole_soon_after(box: Box) -> None:
    box.live(1)
    box.wait_written(1)
    box.clocks.now += 60 - AHEAD + 0.5
    box.output.mood(message("happy"))
    box.wait_written(2)
    assert box.kept() == {0: 60, 1: 60 - AHEAD + 0.5}
    box.clocks.now += AHEAD
    box.output.mood(message("happy"))
    wait_for(lambda: box.kept()[1] == 60, "the rest of the minute")
    assert box.output.health()["published"] == 2


def test_a_minute_that_nobody_tells_the_end_of_is_written_all_the_same(box: Box) -> None:
    box.clocks.now += 59.9
    box.output.mood(message("sad"))
    box.output._wake.set()  # the writer would wake by itself at the end of the minute
    box.clocks.now += 0.2
    box.output._wake.set()
    box.wait_written(1)
    assert box.kept()[0] == pytest.approx(0.1)


def test_a_restart_in_the_middle_of_a_minute_loses_nothing_of_it(box: Box) -> None:
    box.live(1.5)
    box.restart()
    box.live(1.5)
    box.restart()
    assert box.kept() == {0: 60, 1: 60, 2: 60}


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_clock_that_is_set_by_a_day_costs_no_minute(box: Box, jump: int) -> None:
    box.live(3)
    box.clocks.ahead += 60 * jump
    box.live(3)
    box.clocks.ahead -= 60 * (jump + 6)  # back where it began
    box.live(2)
    box.output.close(30)
    elsewhere = {minute + jump: 60.0 for minute in (3, 4, 5)}
    assert box.kept() == {0: 120, 1: 120, 2: 60, **elsewhere}


def test_old_minutes_are_removed_but_not_because_of_a_clock_set_ahead(box: Box) -> None:
    box.live(2)
    box.restart(days=1)
    wait_for(lambda: not box.output._prunable, "the end of pruning at the start")
    box.clocks.now += 60 * (DAY - 2)
    box.live(1)  # meanwhile the first minute has become too old
    wait_for(lambda: set(box.kept()) == {1, DAY}, "the first minute to be removed")
    box.clocks.ahead += 10 * 86400
    box.live(2)
    box.wait_written(3)
    wait_for(lambda: not box.output._prunable, "the end of pruning")
    assert set(box.kept()) == {1, DAY, 11 * DAY + 1, 11 * DAY + 2}
    box.clocks.now += 3600
    box.live(1)
    wait_for(lambda: not {1, DAY} & set(box.kept()), "old minutes to be removed after all")


@pytest.mark.parametrize("hours", [26, 40 * 24])
def test_nothing_is_removed_by_a_clock_that_is_ahead_at_the_start(box: Box, hours: int) -> None:
    box.live(2)
    box.clocks.ahead += hours * 3600
    for _ in range(2):  # what the first one keeps must not mislead the second one
        box.restart(days=1)
        box.live(2)
        box.wait_written(1)
        wait_for(lambda: not box.output._prunable, "the end of pruning")
        assert {0, 1} <= set(box.kept())
    box.clocks.now += 3600
    box.live(1)
    wait_for(lambda: not {0, 1} & set(box.kept()), "old minutes to be removed after all")


def test_what_a_clock_kept_that_was_ahead_is_removed_when_it_is_right_for_long(box: Box) -> None:
    box.clocks.ahead += 700 * 86400
    box.live(2)
    box.clocks.ahead -= 700 * 86400
    box.live(2)
    box.wait_written(4)
    wait_for(lambda: not box.output._prunable, "the end of pruning")
    wrong = {700 * DAY, 700 * DAY + 1}
    assert set(box.kept()) == {2, 3} | wrong
    box.restart()  # a restart alone is no reason to trust the clock
    wait_for(lambda: not box.output._prunable, "the end of pruning at the start")
    box.clocks.now += 5 * 3600
    box.live(1)
    box.wait_written(1)
    wait_for(lambda: not box.output._prunable, "the end of pruning")
    assert wrong < set(box.kept())
    box.clocks.now += 3600
    box.live(1)
    box.wait_written(1)
    wait_for(lambda: not box.output._prunable, "the end of pruning")
    assert wrong < set(box.kept()), "nobody knows yet which of both times is right"
    box.synchronized.touch()
    box.live(1)
    wait_for(lambda: not wrong & set(box.kept()), "what lies ahead to be removed")
    assert {2, 3} < set(box.kept())


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_is_removed_by_a_clock_that_is_behind(box: Box, *, restarted: bool) -> None:
    box.live(2)
    box.clocks.ahead -= 40 * 86400
    if restarted:
        box.restart()
    written = 0 if restarted else 2
    for hours in (0, 5, 12):
        box.clocks.now += 3600 * hours
        box.live(2)
        written += 2
        box.wait_written(written)
        wait_for(lambda: not box.output._prunable, "the end of pruning")
        assert {0, 1} < set(box.kept())
    box.clocks.ahead += 40 * 86400
    box.live(1)
    box.clocks.now += 2 * 3600
    box.live(1)
    box.wait_written(written + 2)
    box.output.close(30)
    assert {0, 1} < set(box.kept())


@pytest.mark.parametrize("restarted", [False, True])
def test_what_lies_ahead_of_a_clock_set_from_the_network_stays_for_six_hours(
    box: Box, *, restarted: bool
) -> None:
    box.live(2)
    box.wait_written(2)
    box.synchronized.touch()
    box.clocks.ahead -= 2 * 86400
    if restarted:
        box.restart()
    written = 0 if restarted else 2
    for hours in (0, 5):
        box.clocks.now += 3600 * hours
        box.live(2)
        written += 2
        box.wait_written(written)
        wait_for(lambda: not box.output._prunable, "the end of pruning")
        assert {0, 1} < set(box.kept())
    box.clocks.now += 3600
    box.live(1)
    wait_for(lambda: not {0, 1} & set(box.kept()), "what lies ahead to be removed")


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_once_and_nothing_is_lost(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    box.live(1)
    box.wait_written(1)
    with no_room():
        for _ in range(3):
            box.live(1)
            wait_for(lambda: box.output.health()["problem"], "a problem")
        assert not box.output.health()["connected"]
        first, recent = box.output.recent(60, 1) or (0, [])
        assert {one.minute for one in recent} >= {FIRST + 1, FIRST + 2, FIRST + 3}
        assert first == FIRST + 4 - 59
    box.live(1)
    box.wait_written(5)
    assert box.kept() == dict.fromkeys(range(5), 60)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "the history cannot be written" in said[0]
    assert said[1] == "the history is being written again"


def test_minutes_that_wait_too_long_are_dropped_and_counted(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    box.live(1)
    box.wait_written(1)
    with no_room():
        box.live(10)
        wait_for(lambda: box.output.health()["dropped"] == 5, "dropped minutes")
    box.live(1)
    box.output.close(30)
    # Minute 6 is dropped, too, if it still waits when minute 11 comes.
    assert set(box.kept()) - {6} == {0, 7, 8, 9, 10, 11}


def is_begun(box: Box, minute: int) -> bool:
    return box.output._begun == FIRST + minute


def test_of_a_minute_that_waits_no_part_is_put_before_the_rest(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    box.live(1)
    box.wait_written(1)
    with no_room():
        for minute in range(1, 5):
            box.clocks.now += 58.5
            box.output.mood(message("happy"))
            turn = functools.partial(is_begun, box, minute)
            wait_for(turn, "the writer's turn")
            box.clocks.now += 1.5
            box.output.mood(message("happy"))
            wait_for(lambda: box.output.health()["problem"], "a problem")
        assert box.output.health()["dropped"] == 0
    box.output.close(30)
    assert box.kept() == dict.fromkeys(range(5), 60)


def test_telling_moods_never_waits_for_the_disk(box: Box) -> None:
    box.live(1)
    box.wait_written(1)
    with closing(sqlite3.connect(box.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer has to wait for this transaction
        box.live(3)
        wait_for(box.output._disk.locked, "the writer to wait")
        teller = threading.Thread(target=box.live, args=(2,))
        teller.start()
        teller.join(2)  # less than the writer waits
        assert not teller.is_alive()
        assert box.output._disk.locked()
        assert box.output.recent(60, 1) is None
        other.execute("ROLLBACK")
    box.wait_written(6)
    assert box.kept() == dict.fromkeys(range(6), 60)


@pytest.mark.parametrize("content", [b"", b"\xa5" * 50_000, b"SQLite format 3\0" + b"\xa5" * 9000])
def test_a_damaged_file_is_set_aside(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    box = Box(path)
    box.live(1)
    box.wait_written(1)
    box.output.close(30)
    assert box.kept() == {0: 60}
    damaged = bool(content)  # an empty file is an empty database
    assert [file.read_bytes() for file in files_set_aside(path)] == [content] * damaged
    assert ["set aside as history.db.damaged-" in line for line in caplog.messages] == [
        True
    ] * damaged


def test_behind_a_link_it_is_set_aside_where_it_is(tmp_path: Path) -> None:
    path, real = tmp_path / "history.db", tmp_path / "stick" / "history.db"
    real.parent.mkdir()
    real.write_bytes(b"\xa5" * 5000)
    path.symlink_to(real)
    box = Box(path)
    box.live(1)
    box.wait_written(1)
    box.output.close(30)
    assert path.is_symlink()
    assert len(files_set_aside(real)) == 1
    assert box.kept() == {0: 60}


def test_a_file_set_aside_is_kept_no_longer_than_a_minute_is(box: Box) -> None:
    box.output.close(30)
    box.path.write_bytes(b"\xa5" * 5000)
    box.restart()
    box.live(1)
    box.wait_written(1)
    (aside,) = files_set_aside(box.path)
    link = box.path.with_name("link")
    link.hardlink_to(aside)  # still leads to the blocks when the file has gone
    oldest = 60 * (FIRST - 30 * DAY)
    os.utime(aside, (oldest, oldest + 3600))
    box.live(1)
    box.wait_written(2)
    wait_for(lambda: not box.output._prunable, "the end of pruning")
    assert aside.exists()
    os.utime(aside, (oldest + 3600, oldest))
    box.live(1)
    wait_for(lambda: not aside.exists(), "the old file to be removed")
    assert link.read_bytes() == bytes(5000)


def test_a_newer_history_is_left_alone_until_it_is_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    box = Box(path)
    box.live(3)
    wait_for(lambda: "newer SerenBox" in (box.output.health()["problem"] or ""), "a problem")
    assert len(caplog.messages) == 1
    wanted = box.output.delete()
    wait_for(lambda: box.output.health()["deletions"] == wanted, "the deletion")
    box.live(1)
    box.wait_written(1)
    box.output.close(30)
    assert box.kept() == {3: 60}


def test_a_file_that_somebody_removed_is_made_anew(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.live(1)
    box.wait_written(1)
    box.path.unlink()
    box.live(1)
    box.wait_written(2)
    assert box.kept() == {1: 60}
    assert [line for line in caplog.messages if "somebody has removed" in line]


def test_deleting_forgets_also_what_is_not_written_yet(box: Box) -> None:
    box.live(2.5)
    box.wait_written(2)
    box.clocks.now += 5  # since the last mood
    wanted = box.output.delete()
    wait_for(lambda: box.output.health()["deletions"] == wanted, "the deletion")
    assert list(box.path.parent.iterdir()) == []
    assert box.output.recent(60, 1) == (FIRST + 2 - 59, [])
    box.live(1)
    box.wait_written(3)
    assert box.kept() == {2: 25}


def test_what_comes_after_a_deletion_during_a_write_is_kept(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, released = threading.Event(), threading.Event()
    add = Database.add

    def add_slowly(database: Database, summaries: Iterable[Summary]) -> None:
        writing.set()
        assert released.wait(30)
        add(database, summaries)

    monkeypatch.setattr(Database, "add", add_slowly)
    box.live(1)
    assert writing.wait(30)
    wanted = box.output.delete()
    box.live(1)
    released.set()
    wait_for(lambda: box.output.health()["deletions"] == wanted, "the deletion")
    box.output.close(30)
    assert box.kept() == {1: 60}


def test_deleting_mends_a_full_disk_and_fails_only_where_it_must(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.live(1)
    box.wait_written(1)
    with no_room():
        box.live(1)
        wait_for(lambda: box.output.health()["problem"], "a problem")
        wanted = box.output.delete()
        wait_for(lambda: box.output.health()["deletions"] == wanted, "the deletion")
        assert box.output.health()["problem"] is None
    assert list(box.path.parent.iterdir()) == []

    def refuse(_: Path) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(kept_file, "delete_files", refuse)
    wanted = box.output.delete()
    wait_for(lambda: "not permitted" in (box.output.health()["problem"] or ""), "a problem")
    assert box.output.health()["deletions"] < wanted
    monkeypatch.undo()
    box.output._wake.set()  # as with the next minute
    wait_for(lambda: box.output.health()["deletions"] == wanted, "the deletion")


def test_the_page_shows_what_is_kept_and_what_is_not_written_yet(box: Box) -> None:
    box.live(90, "sad")
    box.wait_written(90)
    box.restart()
    box.live(1.5, "happy")
    wait_for(lambda: box.output.health()["published"] == 1, "the next minute")
    board = Board("box", [box.output], clock=lambda: 0.0, wall=box.clocks.wall)
    hour, day = board.history("hour")["steps"], board.history("day")["steps"]
    assert [step["seconds"] for step in hour[-3:]] == [{"sad": 60}, {"happy": 60}, {"happy": 30}]
    assert hour[0]["seconds"] == {"sad": 60}
    assert len(day) == 96
    total = {
        label: sum(step["seconds"].get(label, 0) for step in day) for label in ("happy", "sad")
    }
    assert total == {"happy": 90, "sad": 90 * 60}


def test_without_the_database_the_page_shows_what_it_was_told(box: Box) -> None:
    board = Board("box", [box.output], clock=lambda: box.clocks.now, wall=box.clocks.wall)
    board.take("mood", message("sad"))
    box.clocks.now += 5
    with box.output._disk:  # the writer hangs
        told = board.history("hour")
        assert (told["steps"][-1]["seconds"], told["kept_days"]) == ({"sad": 5}, 30)


def test_the_page_goes_on_when_somebody_removed_the_database(box: Box) -> None:
    box.live(1)
    box.wait_written(1)
    box.path.unlink()
    assert box.output.recent(60, 1) is None


def test_while_the_disk_is_busy_the_page_shows_what_was_read_last(box: Box) -> None:
    box.live(10, "sad")
    box.wait_written(10)
    board = Board("box", [box.output], clock=lambda: box.clocks.now, wall=box.clocks.wall)
    read = board.history("hour")["steps"]
    assert {"sad": 60} in [step["seconds"] for step in read]
    with box.output._disk:
        assert board.history("hour")["steps"] == read
        box.clocks.now += 3 * 60  # too long for a disk that is merely busy
        assert {"sad": 60} not in [step["seconds"] for step in board.history("hour")["steps"]]


def test_every_mood_has_its_column(box: Box) -> None:
    for label in MOOD_LABELS:
        box.live(1, label)
    box.output.close(30)
    assert read_extent(box.path)[2] == len(MOOD_LABELS)
    for index, one in enumerate(read_summaries(box.path, 0, 1 << 40)):
        assert one.seconds[index] == 60
        assert (one.mean_scores is None) is (MOOD_LABELS[index] in MOOD_LABELS[8:])

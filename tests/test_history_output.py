"""The history output by itself, with clocks that a test sets, and real files."""

from __future__ import annotations

import functools
import logging
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from serenbox.history import output as module
from serenbox.history.output import AHEAD
from serenbox.history.reading import read_extent, read_summaries
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.outputs.select import make_outputs
from serenbox.settings.schema import HistorySettings, Settings
from serenbox.web.board import Board
from tests.daemon_process import wait_for
from tests.history_output import DAY, FIRST, History, message, no_room

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_off_and_imported_only_where_it_is_on(tmp_path: Path) -> None:
    assert "history" not in [one.name for one in make_outputs(Settings(), print)]
    on = Settings(history=HistorySettings(enabled=True))
    path = tmp_path / "none" / "history.db"
    made = make_outputs(on, print, history=path)
    assert [one.name for one in made] == ["stdout", "history"]
    made[-1].close(1)  # it was never started
    assert not path.parent.exists()


def test_a_minute_is_written_when_it_ends_and_the_rest_at_the_end(history: History) -> None:
    history.live(2.5)
    history.wait_written(2)
    assert history.kept() == {0: 60, 1: 60}
    assert history.output.health() == {
        "connected": True,
        "published": 2,
        "dropped": 0,
        "problem": None,
        "file": str(history.path),
        "deletions": 0,
    }
    history.output.close(30)
    assert history.kept() == {0: 60, 1: 60, 2: 30}
    assert [file.name for file in history.path.parent.iterdir()] == ["history.db"]


def test_a_minute_is_there_before_it_ends_and_whole_soon_after(history: History) -> None:
    history.live(1)
    history.wait_written(1)
    history.clocks.now += 60 - AHEAD + 0.5
    history.output.mood(message("happy"))
    history.wait_written(2)
    assert history.kept() == {0: 60, 1: 60 - AHEAD + 0.5}
    history.clocks.now += AHEAD
    history.output.mood(message("happy"))
    wait_for(lambda: history.kept()[1] == 60, "the rest of the minute")
    assert history.output.health()["published"] == 2


def test_a_minute_that_nobody_tells_the_end_of_is_written_all_the_same(history: History) -> None:
    history.clocks.now += 59.9
    history.output.mood(message("sad"))
    history.output._wake.set()  # the writer would wake by itself at the end of the minute
    history.clocks.now += 0.2
    history.output._wake.set()
    history.wait_written(1)
    assert history.kept()[0] == pytest.approx(0.1)


def test_a_restart_in_the_middle_of_a_minute_loses_nothing_of_it(history: History) -> None:
    history.live(1.5)
    history.restart()
    history.live(1.5)
    history.restart()
    assert history.kept() == {0: 60, 1: 60, 2: 60}


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_clock_that_is_set_by_a_day_costs_no_minute(history: History, jump: int) -> None:
    history.live(3)
    history.clocks.ahead += 60 * jump
    history.live(3)
    history.clocks.ahead -= 60 * (jump + 6)  # back where it began
    history.live(2)
    history.output.close(30)
    elsewhere = {minute + jump: 60.0 for minute in (3, 4, 5)}
    assert history.kept() == {0: 120, 1: 120, 2: 60, **elsewhere}


def test_a_full_disk_is_told_once_and_nothing_is_lost(
    history: History, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    history.live(1)
    history.wait_written(1)
    with no_room():
        for _ in range(3):
            history.live(1)
            wait_for(lambda: history.output.health()["problem"], "a problem")
        assert not history.output.health()["connected"]
        first, recent = history.output.recent(60, 1) or (0, [])
        assert {one.minute for one in recent} >= {FIRST + 1, FIRST + 2, FIRST + 3}
        assert first == FIRST + 4 - 59
    history.live(1)
    history.wait_written(5)
    assert history.kept() == dict.fromkeys(range(5), 60)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "the history cannot be written" in said[0]
    assert said[1] == "the history is being written again"


def test_minutes_that_wait_too_long_are_dropped_and_counted(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    history.live(1)
    history.wait_written(1)
    with no_room():
        history.live(10)
        wait_for(lambda: history.output.health()["dropped"] == 5, "dropped minutes")
    history.live(1)
    history.output.close(30)
    # Minute 6 is dropped, too, if it still waits when minute 11 comes.
    assert set(history.kept()) - {6} == {0, 7, 8, 9, 10, 11}


def is_begun(history: History, minute: int) -> bool:
    return history.output._begun == FIRST + minute


def test_of_a_minute_that_waits_no_part_is_put_before_the_rest(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    history.live(1)
    history.wait_written(1)
    with no_room():
        for minute in range(1, 5):
            history.clocks.now += 58.5
            history.output.mood(message("happy"))
            turn = functools.partial(is_begun, history, minute)
            wait_for(turn, "the writer's turn")
            history.clocks.now += 1.5
            history.output.mood(message("happy"))
            wait_for(lambda: history.output.health()["problem"], "a problem")
        assert history.output.health()["dropped"] == 0
    history.output.close(30)
    assert history.kept() == dict.fromkeys(range(5), 60)


def test_telling_moods_never_waits_for_the_disk(history: History) -> None:
    history.live(1)
    history.wait_written(1)
    with closing(sqlite3.connect(history.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer has to wait for this transaction
        history.live(3)
        wait_for(history.output._disk.locked, "the writer to wait")
        teller = threading.Thread(target=history.live, args=(2,))
        teller.start()
        teller.join(2)  # less than the writer waits
        assert not teller.is_alive()
        assert history.output._disk.locked()
        assert history.output.recent(60, 1) is None
        other.execute("ROLLBACK")
    history.wait_written(6)
    assert history.kept() == dict.fromkeys(range(6), 60)


def test_the_page_shows_what_is_kept_and_what_is_not_written_yet(history: History) -> None:
    history.live(90, "sad")
    history.wait_written(90)
    history.restart()
    history.live(1.5, "happy")
    wait_for(lambda: history.output.health()["published"] == 1, "the next minute")
    board = Board("box", [history.output], clock=lambda: 0.0, wall=history.clocks.wall)
    hour, day = board.history("hour")["steps"], board.history("day")["steps"]
    assert [step["seconds"] for step in hour[-3:]] == [{"sad": 60}, {"happy": 60}, {"happy": 30}]
    assert hour[0]["seconds"] == {"sad": 60}
    assert len(day) == 96
    total = {
        label: sum(step["seconds"].get(label, 0) for step in day) for label in ("happy", "sad")
    }
    assert total == {"happy": 90, "sad": 90 * 60}


def test_without_the_database_the_page_shows_what_it_was_told(history: History) -> None:
    board = Board(
        "box", [history.output], clock=lambda: history.clocks.now, wall=history.clocks.wall
    )
    board.take("mood", message("sad"))
    history.clocks.now += 5
    with history.output._disk:  # the writer hangs
        told = board.history("hour")
        assert (told["steps"][-1]["seconds"], told["kept_days"]) == ({"sad": 5}, 30)


def test_the_page_goes_on_when_somebody_removed_the_database(history: History) -> None:
    history.live(1)
    history.wait_written(1)
    history.path.unlink()
    assert history.output.recent(60, 1) is None


def test_while_the_disk_is_busy_the_page_shows_what_was_read_last(history: History) -> None:
    history.live(10, "sad")
    history.wait_written(10)
    board = Board(
        "box", [history.output], clock=lambda: history.clocks.now, wall=history.clocks.wall
    )
    read = board.history("hour")["steps"]
    assert {"sad": 60} in [step["seconds"] for step in read]
    with history.output._disk:
        assert board.history("hour")["steps"] == read
        history.clocks.now += 3 * 60  # too long for a disk that is merely busy
        assert {"sad": 60} not in [step["seconds"] for step in board.history("hour")["steps"]]


def test_every_mood_has_its_column(history: History) -> None:
    for label in MOOD_LABELS:
        history.live(1, label)
    history.output.close(30)
    assert read_extent(history.path)[2] == len(MOOD_LABELS)
    for index, one in enumerate(read_summaries(history.path, 0, 1 << 40)):
        assert one.seconds[index] == 60
        assert (one.mean_scores is None) is (MOOD_LABELS[index] in MOOD_LABELS[8:])

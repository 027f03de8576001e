"""The history output with a file that is damaged, newer, gone or deleted."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from serenbox.history import kept_file
from serenbox.history.database import Database
from serenbox.history.files import files_set_aside
from tests.daemon_process import wait_for
from tests.history_output import DAY, FIRST, History, no_room

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from serenbox.history.minutes import Summary


@pytest.mark.parametrize("content", [b"", b"\xa5" * 50_000, b"SQLite format 3\0" + b"\xa5" * 9000])
def test_a_damaged_file_is_set_aside(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    history = History(path)
    history.live(1)
    history.wait_written(1)
    history.output.close(30)
    assert history.kept() == {0: 60}
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
    history = History(path)
    history.live(1)
    history.wait_written(1)
    history.output.close(30)
    assert path.is_symlink()
    assert len(files_set_aside(real)) == 1
    assert history.kept() == {0: 60}


def test_a_file_set_aside_is_kept_no_longer_than_a_minute_is(history: History) -> None:
    history.output.close(30)
    history.path.write_bytes(b"\xa5" * 5000)
    history.restart()
    history.live(1)
    history.wait_written(1)
    (aside,) = files_set_aside(history.path)
    link = history.path.with_name("link")
    link.hardlink_to(aside)  # still leads to the blocks when the file has gone
    oldest = 60 * (FIRST - 30 * DAY)
    os.utime(aside, (oldest, oldest + 3600))
    history.live(1)
    history.wait_written(2)
    history.wait_pruned()
    assert aside.exists()
    os.utime(aside, (oldest + 3600, oldest))
    history.live(1)
    wait_for(lambda: not aside.exists(), "the old file to be removed")
    assert link.read_bytes() == bytes(5000)


def test_a_newer_history_is_left_alone_until_it_is_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    history = History(path)
    history.live(3)
    wait_for(lambda: "newer SerenBox" in (history.output.health()["problem"] or ""), "a problem")
    assert len(caplog.messages) == 1
    wanted = history.output.delete()
    wait_for(lambda: history.output.health()["deletions"] == wanted, "the deletion")
    history.live(1)
    history.wait_written(1)
    history.output.close(30)
    assert history.kept() == {3: 60}


def test_a_file_that_somebody_removed_is_made_anew(
    history: History, caplog: pytest.LogCaptureFixture
) -> None:
    history.live(1)
    history.wait_written(1)
    history.path.unlink()
    history.live(1)
    history.wait_written(2)
    assert history.kept() == {1: 60}
    assert [line for line in caplog.messages if "somebody has removed" in line]


def test_deleting_forgets_also_what_is_not_written_yet(history: History) -> None:
    history.live(2.5)
    history.wait_written(2)
    history.clocks.now += 5  # since the last mood
    wanted = history.output.delete()
    wait_for(lambda: history.output.health()["deletions"] == wanted, "the deletion")
    assert list(history.path.parent.iterdir()) == []
    assert history.output.recent(60, 1) == (FIRST + 2 - 59, [])
    history.live(1)
    history.wait_written(3)
    assert history.kept() == {2: 25}


def test_what_comes_after_a_deletion_during_a_write_is_kept(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, released = threading.Event(), threading.Event()
    add = Database.add

    def add_slowly(database: Database, summaries: Iterable[Summary]) -> None:
        writing.set()
        assert released.wait(30)
        add(database, summaries)

    monkeypatch.setattr(Database, "add", add_slowly)
    history.live(1)
    assert writing.wait(30)
    wanted = history.output.delete()
    history.live(1)
    released.set()
    wait_for(lambda: history.output.health()["deletions"] == wanted, "the deletion")
    history.output.close(30)
    assert history.kept() == {1: 60}


def test_deleting_mends_a_full_disk_and_fails_only_where_it_must(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.live(1)
    history.wait_written(1)
    with no_room():
        history.live(1)
        wait_for(lambda: history.output.health()["problem"], "a problem")
        wanted = history.output.delete()
        wait_for(lambda: history.output.health()["deletions"] == wanted, "the deletion")
        assert history.output.health()["problem"] is None
    assert list(history.path.parent.iterdir()) == []

    def refuse(_: Path) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(kept_file, "delete_files", refuse)
    wanted = history.output.delete()
    wait_for(lambda: "not permitted" in (history.output.health()["problem"] or ""), "a problem")
    assert history.output.health()["deletions"] < wanted
    monkeypatch.undo()
    history.output._wake.set()  # as with the next minute
    wait_for(lambda: history.output.health()["deletions"] == wanted, "the deletion")

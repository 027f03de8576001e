from __future__ import annotations

import os
from typing import TYPE_CHECKING

from serenbox.daemon.state import PausedFlag

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "state" / "paused"
    assert not PausedFlag(path).read()
    PausedFlag(path).write(paused=True)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert PausedFlag(path).read()
    PausedFlag(path).write(paused=True)
    PausedFlag(path).write(paused=False)
    assert not PausedFlag(path).read()


def test_it_is_remembered_through_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "paused"
    synced: list[tuple[bool, bool]] = []

    def sync(handle: int) -> None:
        is_folder = os.path.sameopenfile(handle, folder)
        synced.append((is_folder, path.exists()))

    path.parent.mkdir()
    folder = os.open(path.parent, os.O_RDONLY)
    monkeypatch.setattr(os, "fsync", sync)
    try:
        PausedFlag(path).write(paused=True)
        PausedFlag(path).write(paused=False)
    finally:
        os.close(folder)

    assert synced == [(True, True), (True, False)]  # only the folder is synced: the file is empty


def test_nothing_is_made_to_remember_nothing(tmp_path: Path) -> None:
    assert PausedFlag(tmp_path / "state" / "paused").write(paused=False)
    assert not list(tmp_path.iterdir())


def test_a_pause_that_cannot_be_written_is_told_once_however_often_it_is_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()  # in place of the folder: not even root can write there
    flag = PausedFlag(tmp_path / "file" / "paused")
    assert not flag.read()
    assert not flag.write(paused=True)
    assert not flag.write(paused=True)
    assert "after a restart this will be forgotten" in str(flag.problem)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(flag.problem) in record.getMessage()

    (tmp_path / "file").unlink()
    assert flag.write(paused=True)
    assert flag.problem is None

    (tmp_path / "file" / "paused").unlink()
    (tmp_path / "file").rmdir()
    (tmp_path / "file").touch()
    assert not flag.write(paused=True)
    assert len(caplog.records) == 2, "another failure is told again"


def test_where_nobody_knows_it_is_paused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "loop").symlink_to("loop")
    flag = PausedFlag(tmp_path / "loop" / "paused")
    assert flag.read()
    assert "the camera stays closed until somebody resumes it" in str(flag.problem)
    assert str(flag.problem) in caplog.text
    assert not flag.write(paused=False)

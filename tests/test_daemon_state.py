from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.daemon.state import PausedFlag

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "state" / "paused"
    assert not PausedFlag(path).read()
    PausedFlag(path).write(paused=True)
    assert PausedFlag(path).read()
    PausedFlag(path).write(paused=True)
    PausedFlag(path).write(paused=False)
    assert not PausedFlag(path).read()


def test_nothing_is_made_to_remember_nothing(tmp_path: Path) -> None:
    PausedFlag(tmp_path / "state" / "paused").write(paused=False)
    assert not list(tmp_path.iterdir())


def test_one_warning_where_it_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()  # in the place of the folder: also root cannot write there
    flag = PausedFlag(tmp_path / "file" / "paused")
    assert not flag.read()
    flag.write(paused=True)
    flag.write(paused=False)
    flag.write(paused=True)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "after a restart it will be forgotten" in record.getMessage()

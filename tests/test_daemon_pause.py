"""Pausing: what it does to the camera and the live preview, and what is remembered of it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.capture import Capture
from serenbox.daemon.commands import Commands, pause_wanted
from serenbox.daemon.pause import Pause
from serenbox.daemon.state import PausedFlag
from serenbox.outputs.tap import Tap
from tests.capture import QUICK, Device

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.pixels import Pixels


class Watcher:
    """Counts how often its picture ends."""

    cuts = 0

    def show(self, image: Pixels) -> None:
        """Take a frame."""

    def cut(self) -> None:
        """Note the end."""
        self.cuts += 1


class Box:
    """A camera that can be paused, watched by somebody."""

    def __init__(self, path: Path) -> None:
        self.flag = PausedFlag(path)
        self.watcher = Watcher()
        self.tap = Tap()
        self.tap.watcher = self.watcher
        self.capture = Capture(QUICK, Device().open, threading.Event().set, paused=self.flag.read())
        self.pause = Pause(self.flag, self.capture, self.tap)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "paused"


def test_a_pause_ends_the_preview_and_is_remembered(path: Path) -> None:
    box = Box(path)
    assert box.pause.want(paused=True)
    assert (box.pause.wanted, box.capture.paused, path.exists()) == (True, True, True)
    assert box.watcher.cuts == 1
    assert Box(path).pause.wanted

    assert box.pause.want(paused=False)
    assert (box.pause.wanted, box.capture.paused, path.exists()) == (False, False, False)
    assert not Box(path).pause.wanted


def test_what_is_so_already_is_only_remembered_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    box = Box(path)
    box.pause.want(paused=True)
    path.unlink()
    assert box.pause.want(paused=True)
    assert path.exists()
    assert caplog.messages == ["paused: the camera is being closed"]


def test_a_flag_that_somebody_removed_is_set_again(path: Path) -> None:
    box = Box(path)
    box.pause.keep()
    assert not path.parent.exists()
    box.pause.want(paused=True)
    path.unlink()
    box.pause.keep()
    assert path.exists()


def test_what_could_not_be_remembered_is_tried_again(path: Path) -> None:
    box = Box(path)
    box.pause.want(paused=True)
    path.unlink()
    path.mkdir()  # not even root can unlink it
    assert not box.pause.want(paused=False)
    assert not box.pause.wanted
    assert box.flag.problem
    box.pause.keep()
    assert path.exists()
    path.rmdir()
    path.touch()
    box.pause.keep()
    assert not path.exists()
    assert not box.flag.problem


def test_a_request_that_comes_too_late_is_for_the_next_start(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    box = Box(path)
    box.pause.remember_for_next_start(paused=True)
    assert (path.exists(), box.pause.wanted, box.watcher.cuts) == (True, False, 0)
    assert caplog.messages == ["paused while ending: so it will be after the next start"]
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()  # in place of the folder
    caplog.clear()
    box.pause.remember_for_next_start(paused=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([], None),
        (["stats", "report"], None),
        (["pause", "stats"], True),
        (["pause", "resume"], False),
        (["resume", "pause", "report"], True),
    ],
)
def test_the_latest_request_counts(names: list[str], wanted: bool | None) -> None:
    woken: list[int] = []
    commands = Commands(lambda: woken.append(1))
    for name in names:
        commands.put(name)
    assert len(woken) == len(names)
    assert pause_wanted(taken := commands.take()) is wanted
    assert taken == names
    assert commands.take() == []

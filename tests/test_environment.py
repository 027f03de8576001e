"""The variables that steer libraries, while several threads run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from serenbox.environment import FFMPEG_LOG, settle, steer
from tests.daemon_process import Daemon
from tests.mood_film import write_film

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mood_film import Image

WATCHED = """
import os, sys, threading

def watch(event, arguments):
    if event == "os.unsetenv" or event == "os.putenv" and arguments[0] not in os.environb:
        if threading.active_count() > 1:
            print("late:", event, arguments, file=sys.stderr)

sys.addaudithook(watch)
from serenbox.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("kind", ["film", "script"])
def test_no_variable_comes_or_goes_once_there_are_threads(
    tmp_path: Path, portrait: Image, camera: str, kind: str
) -> None:
    film = tmp_path / "film.mkv"
    write_film(film, portrait, [("happy", 6)])
    source = str(film) if kind == "film" else camera
    with Daemon(tmp_path, source, program=(sys.executable, "-c", WATCHED)) as daemon:
        daemon.wait_mood("happy")
        assert daemon.end() == 0
    assert [line for line in daemon.log if line.startswith("late:")] == []


def test_the_watch_of_this_file_sees_what_comes_late(tmp_path: Path, camera: str) -> None:
    unsettled = WATCHED.replace(
        "sys.exit", "import serenbox.environment as e\ne.settle = int\nsys.exit"
    )
    with Daemon(tmp_path, camera, program=(sys.executable, "-c", unsettled)) as daemon:
        daemon.wait_mood("happy")
        assert daemon.end() == 0
    assert [line for line in daemon.log if line.startswith("late:")]


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {FFMPEG_LOG: "48", "OPENBLAS_NUM_THREADS": "2"})
    settle()
    steer(FFMPEG_LOG, "-8")
    assert os.environ[FFMPEG_LOG] == "48"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"

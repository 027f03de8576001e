"""`serenbox history` for tests: a history with known content, at a known moment."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serenbox.cli.history import HistoryTool
from serenbox.daemon import paths
from serenbox.history.database import Database
from serenbox.history.minutes import Summary
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

NOW = 1_774_800_000.0  # 2026-03-29 16:00 UTC
MINUTE = int(NOW // 60)


def summary(minute: int, **seconds: float) -> Summary:
    scores = tuple(30.0 if emotion == "happy" else 5.0 for emotion in EMOTIONS)
    seen = any(label in EMOTIONS for label in seconds)
    return Summary(
        minute,
        tuple(seconds.get(label, 0.0) for label in MOOD_LABELS),
        scores if seen else (0.0,) * len(EMOTIONS),
    )


@contextmanager
def known_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use a state folder at a known moment in a known place, without a service."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(paths, "SYSTEM_STATE", tmp_path / "system")
    monkeypatch.setattr(paths, "SYSTEM_RUNTIME", tmp_path / "run")
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield folder
    monkeypatch.undo()
    time.tzset()


def keep_minutes(state: Path) -> Path:
    """Write a history of today and of three days ago; return its file."""
    path = state / "history.db"
    with Database(path) as database:
        database.add(summary(MINUTE - 180 + n, happy=60) for n in range(60))
        database.add(summary(MINUTE - 60 + n, neutral=20, no_face=10) for n in range(60))
        database.add(summary(MINUTE - 3 * 1440 + n, paused=60) for n in range(120))
        database.add([summary(MINUTE, sad=3)])
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = HistoryTool().main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err

"""The service while the clock is set ahead or back by a day."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.daemon_process import Daemon, write_lively_face
from tests.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("jump", [86400, -86400])
def test_nothing_happens(tmp_path: Path, portrait_file: Path, jump: int) -> None:
    clock = FakeClock(tmp_path / "clock")
    faked = {**clock.environment, "WATCHDOG_USEC": "200000"}
    face = write_lively_face(tmp_path, portrait_file)
    with Daemon(tmp_path, face, environment=faked) as daemon:
        daemon.wait_mood("happy")
        clock.set(jump)
        signs = daemon.states.count("WATCHDOG=1")
        daemon.wait_until(lambda: abs(passed(daemon)) > 80_000, "messages after it")
        daemon.wait_until(lambda: daemon.states.count("WATCHDOG=1") > signs + 2, "signs of life")
        assert daemon.end() == 0
    assert passed(daemon) == pytest.approx(jump, abs=100)
    last = daemon.messages[-1]
    age = moment(last["time"]) - moment(last["since"])
    assert 0 <= age < 100  # `since` moved with the clock: the mood began a moment ago
    assert daemon.events == [("no_camera", "happy")]
    assert daemon.warnings() == []


def passed(daemon: Daemon) -> float:
    """Return the seconds from the first message to the last, by the clock that was set."""
    return moment(daemon.messages[-1]["time"]) - moment(daemon.messages[0]["time"])


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

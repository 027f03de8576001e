"""The service while somebody sets the clock by a day."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import cv2
import pytest

from tests.daemon_process import Daemon, write_script
from tests.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("jump", [86400, -86400])
def test_nothing_happens(tmp_path: Path, portrait_file: Path, jump: int) -> None:
    clock = FakeClock(tmp_path / "clock")
    portrait = cv2.imread(str(portrait_file))
    assert portrait is not None
    cv2.imwrite(str(tmp_path / "face.png"), portrait)
    cv2.imwrite(str(tmp_path / "darker.png"), cv2.convertScaleAbs(portrait, alpha=0.7))
    # Scores that never settle: those of one picture do, and then a minute goes by in silence.
    steps = [{"frames": "face.png", "count": 5}, {"frames": "darker.png", "count": 5}]
    faked = {**clock.environment, "WATCHDOG_USEC": "200000"}
    script = write_script(tmp_path / "script.json", steps, loop=True)
    with Daemon(tmp_path, script, environment=faked) as daemon:
        daemon.wait_mood("happy")
        clock.set(jump)
        signs = daemon.states.count("WATCHDOG=1")
        daemon.wait_until(lambda: abs(passed(daemon)) > 80_000, "messages after it")
        daemon.wait_until(lambda: daemon.states.count("WATCHDOG=1") > signs + 2, "signs of life")
        assert daemon.end() == 0
    assert passed(daemon) == pytest.approx(jump, abs=100)
    last = daemon.messages[-1]
    age = moment(last["time"]) - moment(last["since"])
    assert 0 <= age < 100  # a mood that began yesterday by the clock began a moment ago
    assert daemon.events == [("no_camera", "happy")]
    assert daemon.warnings() == []


def passed(daemon: Daemon) -> float:
    """Return the seconds from the first message to the last, by the clock that was set."""
    return moment(daemon.messages[-1]["time"]) - moment(daemon.messages[0]["time"])


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

"""The service while somebody sets the clock by a day."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from tests.daemon_process import Daemon, write_script

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.fixture
def library() -> str:
    if not LIBRARIES:
        sentence = "libfaketime, which this test needs, is not installed: apt install libfaketime"
        if os.environ.get("SERENBOX_REQUIRE_ALL") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return str(LIBRARIES[0])


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_nothing_happens(tmp_path: Path, portrait_file: Path, library: str, jump: str) -> None:
    shutil.copy(portrait_file, tmp_path / "face.png")
    steps = [{"frames": "face.png", "count": 1_000_000}]
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    faked = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "WATCHDOG_USEC": "200000",
    }
    script = write_script(tmp_path / "script.json", steps)
    with Daemon(tmp_path, script, environment=faked) as daemon:
        daemon.wait_mood("happy")
        clock.write_text(f"{jump}\n")
        signs = daemon.states.count("WATCHDOG=1")
        daemon.wait_until(lambda: abs(passed(daemon)) > 80_000, "messages after it")
        daemon.wait_until(lambda: daemon.states.count("WATCHDOG=1") > signs + 2, "signs of life")
        assert daemon.end() == 0
    assert passed(daemon) == pytest.approx(86400 if jump == "+1d" else -86400, abs=100)
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

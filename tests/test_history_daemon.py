"""The real service with a history: restarts, damage, set clocks, full disks and reloads."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from serenbox.history.files import files_set_aside
from serenbox.history.reading import read_summaries
from tests.benchmarks.history import damage
from tests.daemon_process import PROGRAM, QUICK, Daemon, wait_for, write_script
from tests.fake_clock import FakeClock
from tests.ports import free_port
from tests.web_client import answers, ask_json

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

DAY = 86400
HISTORY = f"{QUICK}\n[history]\nenabled = true\n"


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    shutil.copy(portrait_file, tmp_path / "face.png")
    steps = [{"frames": "face.png", "count": 1_000_000}]
    return write_script(tmp_path / "script.json", steps)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


def kept(path: Path) -> dict[int, float]:
    """Return how many seconds of each minute are known."""
    return {one.minute: one.known for one in read_summaries(path, 0, 1 << 40)}


def history_of(daemon: Daemon) -> dict[str, Any]:
    """Return the health of the history in the service's status."""
    health: dict[str, Any] = json.loads(daemon.command("status", "--json").stdout)["outputs"]
    found: dict[str, Any] = health["history"]
    return found


def wait_seen(daemon: Daemon, ahead: int) -> None:
    """Wait for a mood whose time is so many seconds ahead of now."""

    def seen() -> bool:
        told = datetime.fromisoformat(daemon.messages[-1]["time"]).timestamp()
        return abs(told - time.time() - ahead) < 30

    daemon.wait_until(seen, f"moods {ahead} s ahead")


def happy_seconds(port: int) -> float:
    steps = ask_json(port, "/api/history?period=day")["steps"]
    return float(sum(step["seconds"].get("happy", 0) for step in steps))


def test_the_page_knows_the_day_after_a_restart_until_it_is_deleted(
    tmp_path: Path, camera: str, path: Path
) -> None:
    port = free_port()
    page = f"{HISTORY}\n[web]\nenabled = true\nport = {port}\n"
    with Daemon(tmp_path, camera, configuration=page) as daemon:
        daemon.wait_mood("happy")
        time.sleep(2)  # of happiness
        assert daemon.end() == 0
    before = sum(kept(path).values())
    assert before >= 2
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        wait_for(lambda: happy_seconds(port) > before, "the day before and after the restart")
        assert "connected" in daemon.command("status").stdout
        done = daemon.command("history", "--delete")
        assert (done.returncode, done.stdout) == (0, "the history was removed\n")
        assert not [file for file in path.parent.iterdir() if file.name != "paused"]
        again = happy_seconds(port)
        assert daemon.end() == 0
    assert again < before
    assert sum(kept(path).values()) >= again - 0.1  # `again` is rounded, and the service went on
    assert daemon.warnings() == []


def test_killed_and_damaged(tmp_path: Path, camera: str, path: Path) -> None:
    clock = FakeClock(tmp_path / "clock")
    with Daemon(tmp_path, camera, configuration=HISTORY, environment=clock.environment) as daemon:
        daemon.wait_mood("happy")
        clock.set(60)
        wait_for(lambda: history_of(daemon)["published"], "a minute to be written")
        daemon.end(signal.SIGKILL)
    assert damage(path) is None
    finished = kept(path)
    assert finished

    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        assert daemon.end() == 0
    assert daemon.warnings() == []
    after = kept(path)
    assert all(after[minute] >= seconds for minute, seconds in finished.items())

    content = b"\xa5" * 20_000
    path.write_bytes(content)
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        daemon.wait_logged("and a new one was started")
        assert daemon.end() == 0
    (warning,) = daemon.warnings()
    assert "history.db: it is damaged" in warning
    assert [file.read_bytes() for file in files_set_aside(path)] == [content]
    assert kept(path)


def test_the_clock_is_set_by_a_day(tmp_path: Path, camera: str, path: Path) -> None:
    clock = FakeClock(tmp_path / "clock")
    with Daemon(tmp_path, camera, configuration=HISTORY, environment=clock.environment) as daemon:
        daemon.wait_mood("happy")
        began, today = time.monotonic(), int(time.time() // 60)
        for ahead in (DAY, 0, -DAY):
            clock.set(ahead)
            wait_seen(daemon, ahead)
        lasted = time.monotonic() - began
        assert daemon.end() == 0
    assert daemon.warnings() == []
    minutes = kept(path)
    assert sum(minutes.values()) >= lasted
    days = {round((minute - today) * 60 / DAY) for minute in minutes}
    assert days == {-1, 0, 1}


def test_a_state_folder_that_nobody_may_write_to(tmp_path: Path, camera: str) -> None:
    with Daemon(
        tmp_path,
        camera,
        configuration=HISTORY,
        environment={"STATE_DIRECTORY": "/proc/serenbox"},
    ) as daemon:
        daemon.wait_mood("happy")
        daemon.wait_logged("the history cannot be written")
        assert not history_of(daemon)["connected"]
        assert daemon.end() == 0
    (warning,) = daemon.warnings()
    assert "/proc/serenbox/history.db: the history cannot be written (" in warning


def test_a_full_disk_that_gets_room_again(tmp_path: Path, camera: str, path: Path) -> None:
    clock = FakeClock(tmp_path / "clock")
    no_file_may_grow = ("/bin/sh", "-c", 'ulimit -S -f 0; exec "$0" "$@"', *PROGRAM)
    with Daemon(
        tmp_path,
        camera,
        configuration=HISTORY,
        program=no_file_may_grow,
        environment=clock.environment,
    ) as daemon:
        daemon.wait_mood("happy")
        daemon.wait_logged("the history cannot be written")
        clock.set(120)
        wait_seen(daemon, 120)
        assert len(daemon.warnings()) == 1
        assert history_of(daemon)["published"] == 0
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
        clock.set(240)
        daemon.wait_logged("the history is being written again")
        wait_for(lambda: history_of(daemon)["published"] >= 2, "the minutes that waited")
        assert daemon.end() == 0
    assert len(daemon.warnings()) == 1
    assert len(kept(path)) >= 3


def test_a_reload_turns_it_on_and_off(tmp_path: Path, camera: str, path: Path) -> None:
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        daemon.wait_state("READY=1")
        assert not path.exists()
        daemon.configuration.write_text(HISTORY)
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the configuration was read again")
        wait_for(path.exists, "the history")
        daemon.configuration.write_text(QUICK)
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the configuration was read again", 2)
        wait_for(lambda: kept(path), "what was sensed in between")
        assert "history" not in json.loads(daemon.command("status", "--json").stdout)["outputs"]
        # The service no longer uses the history, so the command may remove it.
        assert daemon.command("history", "--delete").returncode == 0
        assert not path.exists()
        assert daemon.end() == 0
    assert daemon.warnings() == []

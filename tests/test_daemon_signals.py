"""Ending, killing and restarting the service at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.lock import ServiceLock
from tests.daemon_process import Daemon, write_script

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20260131
LONGEST_START = 1.5
"""Maximum seconds from the start of the process to the signal."""

UNIT_PATIENCE = 10.0
"""The unit's `TimeoutStopSec=`, after which systemd kills."""


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    shutil.copy(portrait_file, tmp_path / "face.png")
    steps = [{"frames": "face.png", "count": 1_000_000}]
    return write_script(tmp_path / "script.json", steps)


def test_at_any_moment_it_ends_in_good_order(tmp_path: Path, camera: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 - nothing secret
    for number in range(12):
        how = (signal.SIGTERM, signal.SIGINT)[number % 2]
        with Daemon(tmp_path, camera) as daemon:
            time.sleep(chance.random() ** 2 * LONGEST_START)
            code = daemon.end(how)
        # A signal that comes before the program handles signals ends Python at once.
        began = daemon.log or daemon.states or daemon.messages
        assert code == 0 or (not began or "KeyboardInterrupt" in daemon.log[-1]), daemon.log
        if code == 0:
            assert daemon.warnings() == []
            assert "STOPPING=1" in daemon.states


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_while_the_camera_hangs(tmp_path: Path, portrait_file: Path, how: signal.Signals) -> None:
    shutil.copy(portrait_file, tmp_path / "face.png")
    steps = [{"frames": "face.png", "count": 5}, {"stall": 1000.0}]
    camera = write_script(tmp_path / "script.json", steps)
    patient = ("--set", "camera.timeout=60")
    with Daemon(tmp_path, camera, arguments=patient) as daemon:
        daemon.wait_mood("happy")
        time.sleep(0.5)
        assert daemon.end(how) == 0
    assert daemon.warnings() == []


def test_while_a_camera_in_the_network_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = f"http://127.0.0.1:{silent.getsockname()[1]}/video"
        with Daemon(tmp_path, camera, arguments=("--set", "camera.timeout=30")) as daemon:
            connection, _ = silent.accept()
            began = time.monotonic()
            with connection:
                assert daemon.end() == 0
            assert time.monotonic() - began < UNIT_PATIENCE


def test_the_first_signal_counts_and_more_do_no_harm(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        for _ in range(5):
            daemon.send(signal.SIGINT)
            daemon.send(signal.SIGTERM)
        assert daemon.wait() == 0


def test_after_so_many_seconds_it_ends(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera, arguments=("--seconds", "0.5")) as daemon:
        assert daemon.wait() == 0
    assert daemon.warnings() == []


def test_the_log_may_be_shorter(tmp_path: Path, camera: str) -> None:
    errors_only = ("--set", "service.log_level=error")
    with Daemon(tmp_path, camera, arguments=errors_only) as daemon:
        daemon.wait_mood("happy")
        assert daemon.end() == 0
    assert daemon.log == []


IN_A_TERMINAL = """
import os, signal, sys
os.setsid()
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "nohup" else signal.SIG_DFL)
os.open(sys.argv[1], os.O_RDWR)  # the first terminal that it opens becomes its own
from serenbox.cli.main import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("how", ["nohup", "plainly"])
def test_with_its_terminal_it_ends_unless_asked_not_to(
    tmp_path: Path, camera: str, how: str
) -> None:
    keyboard, terminal = os.openpty()
    program = (sys.executable, "-c", IN_A_TERMINAL, os.ttyname(terminal), how)
    with Daemon(tmp_path, camera, program=program) as daemon:
        daemon.wait_mood("happy")
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the configuration was read again")
        os.close(terminal)
        os.close(keyboard)
        if how == "nohup":
            daemon.wait_logged("the configuration was read again", times=2)
            assert daemon.end() == 0
        assert daemon.wait() == 0
    assert daemon.warnings() == []


def test_killed_and_started_again(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    assert (tmp_path / "run" / "control").exists()  # what it could not remove
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        assert daemon.command("status").returncode == 0
        assert daemon.end() == 0
    assert not (tmp_path / "run" / "control").exists()


def test_the_second_is_told_who_was_there_first(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera) as first:
        first.wait_mood("happy")
        second = first.command("run", "--config", str(first.configuration), "--camera", camera)
        assert second.returncode == 1
        assert second.stdout == ""
        line = second.stderr.splitlines()[-1]  # a warning about the swap may come before it
        assert f"another serenbox (process {first.pid}, since 20" in line
        assert "is already running: stop it first" in line
        # The first one has not noticed anything.
        assert first.command("status").returncode == 0
        assert first.end() == 0
    assert first.warnings() == []


def test_who_holds_the_lock_keeps_the_service_out(tmp_path: Path, camera: str) -> None:
    (tmp_path / "run").mkdir()
    with ServiceLock(tmp_path / "run" / "lock"), Daemon(tmp_path, camera) as daemon:
        assert daemon.wait() == 1
    assert daemon.messages == []


def test_the_journal_gets_priorities(tmp_path: Path, camera: str) -> None:
    missing = ("--camera", "/dev/video99", "--set", "camera.reopens=1")
    script = (
        "import os, sys; found = os.fstat(2);"
        "os.environ['JOURNAL_STREAM'] = f'{found.st_dev}:{found.st_ino}';"
        "from serenbox.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with Daemon(tmp_path, camera, arguments=missing, program=(sys.executable, "-c", script)) as one:
        assert one.wait() == 1
    assert [line[:3] for line in one.log] == ["<4>", "<3>"]

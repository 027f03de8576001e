"""Commands that pause, resume and query the service, and what happens if it cannot write."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path

import pytest

from serenbox.cli.control import describe
from serenbox.daemon.lock import ServiceLock
from tests.daemon_process import PROGRAM, Daemon, write_script


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    shutil.copy(portrait_file, tmp_path / "face.png")
    steps = [{"frames": "face.png", "count": 1_000_000}]
    return write_script(tmp_path / "script.json", steps)


def test_paused_and_resumed(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        paused = daemon.command("pause")
        assert (paused.returncode, paused.stderr) == (0, "")
        assert "the camera is closed" in paused.stdout
        daemon.wait_mood("paused")
        assert (tmp_path / "state" / "paused").exists()
        assert daemon.messages[-1]["state"] == "paused"
        assert daemon.messages[-1]["faces"] == []
        status = json.loads(daemon.command("status", "--json").stdout)
        assert (status["state"], status["mood"], status["camera"]) == ("paused", "paused", "")
        assert status["pid"] == daemon.pid
        frames = status["frames"]
        assert json.loads(daemon.command("status", "--json").stdout)["frames"] == frames
        assert daemon.command("pause").returncode == 0  # it is paused already
        assert daemon.command("resume").returncode == 0
        daemon.wait_mood("happy")
        assert not (tmp_path / "state" / "paused").exists()
        assert daemon.end() == 0
    # `no_camera` is announced only if the camera takes long enough to open.
    moods = [mood for _, mood in daemon.events if mood != "no_camera"]
    assert moods == ["happy", "paused", "happy"]
    assert "STATUS=Paused, the camera is closed" in daemon.states
    assert daemon.warnings() == []


def test_what_was_paused_stays_so_after_a_restart(tmp_path: Path, camera: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "paused").touch()
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_state("READY=1")
        daemon.wait_mood("paused")
        assert daemon.end() == 0
    assert {message["mood"] for message in daemon.messages} == {"paused"}
    assert not any("camera: script" in line for line in daemon.log)  # the camera was never opened


SLOW = """
import pathlib, sys, time
from serenbox.cli.main import main
from serenbox.daemon import service
make = service._make_observer
def make_later(*parts):
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return make(*parts)
service._make_observer = make_later
sys.exit(main(sys.argv[2:]))
"""


def test_while_the_models_load_the_camera_can_be_closed(tmp_path: Path, camera: str) -> None:
    go_on = tmp_path / "go_on"
    program = (sys.executable, "-c", SLOW, str(go_on))
    with (
        Daemon(tmp_path, camera, program=program) as daemon,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client,
    ):
        daemon.wait_logged("camera: script")
        client.connect(str(tmp_path / "run" / "control"))
        client.send(b"pause")
        go_on.touch()
        assert json.loads(client.recv(65536))["remembered"]
        daemon.wait_mood("paused")
        assert daemon.end() == 0


LATE = """
import sys
from serenbox.cli.main import main
from serenbox.daemon import service
close = service.RunningOutputs.close
service.RunningOutputs.close = lambda outputs, timeout: (
    outputs._command(sys.argv[1]), close(outputs, timeout)
)
sys.exit(main(sys.argv[2:]))
"""


def test_what_comes_while_it_ends_counts_after_the_next_start(tmp_path: Path, camera: str) -> None:
    for command, kept in (("pause", True), ("resume", False)):
        program = (sys.executable, "-c", LATE, command)
        with Daemon(tmp_path, camera, program=program) as daemon:
            daemon.wait_state("READY=1")
            assert daemon.end() == 0
        assert (tmp_path / "state" / "paused").exists() is kept
        assert any(f"{command}d while ending" in line for line in daemon.log)


def test_a_runtime_folder_that_somebody_removed_is_made_anew(tmp_path: Path, camera: str) -> None:
    often = ("--set", "service.stats_interval=1")
    with Daemon(tmp_path, camera, arguments=often) as daemon:
        daemon.wait_mood("happy")
        shutil.rmtree(tmp_path / "run")
        daemon.wait_until((tmp_path / "run" / "control").exists, "another socket")
        assert daemon.command("pause").returncode == 0
        second = daemon.command("run", "--config", str(daemon.configuration), "--camera", camera)
        assert "already running" in second.stderr
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        (tmp_path / "run").touch()
        daemon.wait_logged("nobody can pause this service")
        assert daemon.end() == 0
    assert len(daemon.warnings()) == 1


def test_a_pause_outlasts_the_state_folder(tmp_path: Path, camera: str) -> None:
    often = ("--set", "service.stats_interval=1")
    with Daemon(tmp_path, camera, arguments=often) as daemon:
        daemon.wait_mood("happy")
        assert daemon.command("pause").returncode == 0
        shutil.rmtree(tmp_path / "state")
        daemon.wait_until((tmp_path / "state" / "paused").exists, "the flag")
        assert daemon.end() == 0
    assert daemon.warnings() == []


def test_a_service_whose_place_another_has_taken_ends(tmp_path: Path, camera: str) -> None:
    often = ("--set", "service.stats_interval=1")
    with Daemon(tmp_path, camera, arguments=often) as daemon:
        daemon.wait_mood("happy")
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").mkdir()
        with ServiceLock(tmp_path / "run" / "lock"):
            assert daemon.wait() == 1
    assert "already running" in daemon.log[-1]


def test_status_for_a_person(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        text = daemon.command("status").stdout
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert lines["state"] == "sensing"
    assert lines["mood"].startswith("happy (")
    assert lines["camera"].startswith("script ")
    assert lines["stdout"] == "connected"
    assert lines["running"].endswith(f"process {daemon.pid}")
    assert "problem" not in lines


def test_what_answers_in_place_of_the_service_steers_no_terminal() -> None:
    odd = "\x1b]0;a title\x07\r"
    text = describe(
        {"state": odd, "camera": odd, "problem": odd, "pid": odd, "uptime": 1.0}
        | {"frames": odd, "fps": 1.0, "latency_ms": {}, "memory_mb": 1.0}
        | {"outputs": {"mqtt": {"problem": odd}}}
    )
    assert text.replace("\n", "").isprintable()
    assert text.count("\\x1b]0;a title\\x07\\r") == 6


@pytest.mark.parametrize("command", ["pause", "resume", "status"])
def test_no_service_runs(tmp_path: Path, camera: str, command: str) -> None:
    with Daemon(tmp_path, camera, arguments=("--seconds", "0.01")) as daemon:
        daemon.wait()
        done = daemon.command(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"serenbox {command}: error: no serenbox service is running" in done.stderr


@pytest.mark.parametrize("folder", ["/sys/serenbox", "/proc/serenbox"])
def test_a_state_folder_that_nobody_may_write_to(tmp_path: Path, camera: str, folder: str) -> None:
    with Daemon(tmp_path, camera, environment={"STATE_DIRECTORY": folder}) as daemon:
        daemon.wait_mood("happy")
        for _ in range(2):
            paused = daemon.command("pause")
            assert paused.returncode == 1
            assert "closed, but after a restart this will be forgotten" in paused.stderr
            daemon.wait_mood("paused")
            assert "after a restart this will be forgotten" in daemon.command("status").stdout
            assert daemon.command("resume").returncode == 0
            daemon.wait_mood("happy")
        assert daemon.end() == 0
    warnings = daemon.warnings()
    assert len(warnings) == 2
    assert all("paused: after a restart this will be forgotten" in each for each in warnings)


def test_a_full_disk(tmp_path: Path, camera: str) -> None:
    no_file_may_grow = ("/bin/sh", "-c", 'ulimit -f 0; exec "$0" "$@"')
    with Daemon(tmp_path, camera, program=(*no_file_may_grow, *PROGRAM)) as daemon:
        daemon.wait_mood("happy")
        assert daemon.command("pause").returncode == 0
        daemon.wait_mood("paused")
        assert daemon.end() == 0
    assert (tmp_path / "run" / "lock").stat().st_size == 0
    assert (tmp_path / "state" / "paused").exists()  # it is empty, so there is room for it
    assert daemon.warnings() == []


def test_events_that_find_no_room(tmp_path: Path, camera: str) -> None:
    with Path("/dev/full").open("wb") as full, Daemon(tmp_path, camera, stdout=full) as daemon:
        daemon.wait_logged("standard output: events cannot be written (No space left on device)")
        daemon.wait_state("READY=1")
        status = json.loads(daemon.command("status", "--json").stdout)
        assert status["mood"] == "happy"
        assert daemon.end() == 0
    assert len(daemon.warnings()) == 1

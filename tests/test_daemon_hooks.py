"""The real service and its hooks: events, faults, a reload and the end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon_process import PROGRAM, QUICK, Daemon, wait_for, write_script
from tests.hook_output import lives, pid_in, script
from tests.mosquitto import running_mosquitto

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FACE = {"frames": "face.png", "count": 1_000_000}
SOME = {"frames": "face.png", "count": 12}
LIVELY = ("--set", "mood.minimum=0.1", "--set", "mood.dwell=0.1")


@pytest.fixture
def face(tmp_path: Path, portrait_file: Path) -> Path:
    shutil.copy(portrait_file, tmp_path / "face.png")
    return tmp_path / "script.json"


def table(*command: str, events: Sequence[str] = ("mood",), timeout: float = 60) -> str:
    settings = {"events": list(events), "command": list(command), "timeout": timeout}
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return "\n".join(["", "[[hooks]]", *lines, ""])


def heard(path: Path) -> list[tuple[str, str]]:
    """Return the event, and the source or else the mood, of each line that a hook wrote."""
    messages: list[dict[str, Any]] = []
    if path.exists():
        messages = [json.loads(line) for line in path.read_text().splitlines()]
    return [(each["event"], each.get("source") or each["mood"]) for each in messages]


def test_every_event_reaches_its_hook(tmp_path: Path, face: Path) -> None:
    """Including those of a missing broker, and of a camera that goes and comes back."""
    seen, errors = tmp_path / "seen", tmp_path / "errors"
    told = script(tmp_path / "told", f"cat >> {seen}; env >> {tmp_path}/environment")
    failed = script(tmp_path / "failed", f"cat >> {errors}")
    settings = (
        f"{QUICK.replace('reopens = 3', 'reopens = 1000')}[service]\nstats_interval = 1\n"
        "[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = 1\n"
        f"{table(told, events=['face', 'no_face', 'paused'])}{table(failed, events=['error'])}"
    )
    gone = {"open_error": "somebody pulled the plug", "count": 2}
    steps = [SOME, {"black": 20}, SOME, {"error": "it has gone"}, gone, FACE]
    secret = {"SERENBOX_MQTT_PASSWORD": "geheim", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    camera = write_script(face, steps)
    with Daemon(
        tmp_path, camera, configuration=settings, environment=secret, arguments=LIVELY
    ) as daemon:
        daemon.wait_events("happy", "no_face", "happy", "no_camera", "happy")
        daemon.wait_until(lambda: len(heard(seen)) == 4, "the hook of faces")
        assert daemon.command("pause").returncode == 0
        daemon.wait_until(lambda: len(heard(seen)) == 5, "the hook of pausing")
        daemon.wait_until(lambda: len(heard(errors)) == 2, "the hook of errors")
        assert daemon.end() == 0
    assert heard(seen) == [
        ("face", "happy"),
        ("no_face", "no_face"),
        ("face", "happy"),
        ("face", "happy"),
        ("paused", "paused"),
    ]
    assert sorted(heard(errors)) == [("error", "camera"), ("error", "mqtt")]
    environment = (tmp_path / "environment").read_text()
    assert "PATH=" in environment
    for name in ("geheim", "SERENBOX", "CREDENTIALS", "NOTIFY_SOCKET", "RUNTIME_DIRECTORY"):
        assert name not in environment


def test_hooks_that_hang_flood_or_die_do_not_keep_it_from_sensing(
    tmp_path: Path, face: Path
) -> None:
    child = tmp_path / "child"
    stubborn = f"trap '' TERM\n(trap '' TERM; echo $BASHPID > {child}; sleep 600) & sleep 600"
    hang = script(tmp_path / "hang", stubborn, interpreter="/bin/bash")
    dies = script(tmp_path / "dies", "echo 'I \x1b[31mdie\x1b[0m'; kill -SEGV $$")
    settings = QUICK + "".join(
        [
            table(hang, timeout=0.5),
            table("yes", "flood" * 30, timeout=1),
            table(dies),
            table(str(tmp_path / "missing")),
        ]
    )
    # The mood changes all the time.
    steps = [SOME, {"black": 20}] * 2
    camera = write_script(face, [*steps, FACE])
    with Daemon(tmp_path, camera, configuration=settings, arguments=LIVELY) as daemon:
        pid = pid_in(child)
        daemon.wait_events(*["happy", "no_face"] * 2, "happy")
        daemon.wait_logged("hang took longer than 0.5 s and was ended")
        daemon.wait_logged("yes took longer than 1 s and was ended")
        wait_for(lambda: not lives(pid), "the end of what hung")
        status = json.loads(daemon.command("status", "--json").stdout)
        assert re.search(
            r"^hooks +0 ended well, \d+ did not(, \d+ gave way to newer events)?: ",
            daemon.command("status").stdout,
            re.MULTILINE,
        )
        assert daemon.end() == 0
    assert status["outputs"]["hooks"]["connected"]
    assert status["outputs"]["hooks"]["failed"] > 5
    assert status["outputs"]["hooks"]["dropped"] > 0
    warnings = [line for line in daemon.warnings() if "the picture is black" not in line]
    told = ("hang took", "yes prints", "yes took", "dies was ended by SIGSEGV", "missing cannot be")
    for words in told:
        assert sum(words in line for line in warnings) == 1
    assert len(warnings) == len(told)
    assert any(r"dies: I \x1b[31mdie\x1b[0m" in line for line in daemon.log)
    assert sum("floodflood" in line for line in daemon.log) == 30


def test_a_reload_and_the_end_leave_no_child(tmp_path: Path, face: Path) -> None:
    pids = [tmp_path / name for name in ("first", "second")]
    hooks = [
        script(tmp_path / f"hook-{path.name}", f"echo $$ > {path}; sleep 600") for path in pids
    ]
    with Daemon(
        tmp_path, write_script(face, [FACE]), configuration=QUICK + table(hooks[0])
    ) as daemon:
        first = pid_in(pids[0])
        daemon.wait_state("READY=1")
        daemon.configuration.write_text(QUICK + "[[hooks]]\nevents = ['mood']\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("a [[hooks]] lacks command")
        assert lives(first)
        daemon.configuration.write_text(QUICK + table(hooks[1]))
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the configuration was read again")
        assert not lives(first)
        assert daemon.command("pause").returncode == 0
        second = pid_in(pids[1])
        assert daemon.end() == 0
    assert not lives(second)


IGNORING = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_hooks_run_where_whoever_started_the_service_ignores_the_end_of_children(
    tmp_path: Path, face: Path
) -> None:
    seen = tmp_path / "seen"
    settings = QUICK + table(script(tmp_path / "hook", f"cat >> {seen}"))
    program = (sys.executable, "-c", IGNORING, *PROGRAM[1:])
    with Daemon(
        tmp_path, write_script(face, [FACE]), configuration=settings, program=program
    ) as daemon:
        daemon.wait_mood("happy")
        assert daemon.command("pause").returncode == 0
        daemon.wait_until(lambda: ("mood", "paused") in heard(seen), "the hook of pausing")
        assert daemon.end() == 0
    assert daemon.warnings() == []


def test_a_hook_has_no_file_of_the_service(tmp_path: Path, face: Path) -> None:
    """Neither the camera, nor the broker's connection, nor the sockets of systemd and commands."""
    seen = tmp_path / "seen"
    told = script(tmp_path / "told", f"ls -l /proc/$$/fd > {seen}.new; mv {seen}.new {seen}")
    (tmp_path / "broker").mkdir()
    with running_mosquitto(tmp_path / "broker") as broker:
        mqtt = f"[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"
        settings = QUICK + mqtt + table(told, events=["paused"])
        camera = write_script(face, [FACE])
        with Daemon(tmp_path, camera, configuration=settings) as daemon:
            daemon.wait_logged("connected to")
            daemon.wait_mood("happy")
            assert daemon.command("pause").returncode == 0
            daemon.wait_until(seen.exists, "the hook")
            assert daemon.end() == 0
    files = [line.partition(" -> ")[2] for line in seen.read_text().splitlines() if "->" in line]
    assert not [file for file in files if file.startswith(("socket:", "anon_inode:"))]
    allowed = ("pipe:", str(tmp_path / "told"), f"{seen}.new")
    assert [file for file in files if not file.startswith(allowed)] == []
    assert sum(file.startswith("pipe:") for file in files) == 3

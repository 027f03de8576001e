"""The real service for tests: in a process of its own, with a scripted camera."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Self

import cv2
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PATIENCE = 60.0
"""Seconds within which something must happen; a busy machine takes long."""

PROGRAM = (sys.executable, "-m", "serenbox.cli.main")

QUICK = """
[camera]
fps = 20
timeout = 0.3
misses = 2
reopens = 3
reopen_pause = 0.05

[mood]
no_face_after = 0.3

[stdout]
moods = true
"""
"""A configuration so quick that a test takes a second or two."""


def with_page(port: int) -> str:
    """Return such a configuration with the web page on."""
    return f"{QUICK}\n[web]\nenabled = true\nport = {port}\n"


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return as soon as the condition holds; fail if that takes longer than `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.005)


def write_script(path: Path, steps: Sequence[object], **more: object) -> str:
    """Write a script for a scripted camera; return its source, as the settings name it."""
    path.write_text(json.dumps({"steps": list(steps), **more}))
    return f"scripted:{path}"


def write_lively_face(folder: Path, portrait: Path) -> str:
    """Write a script of a face whose scores never settle; return the camera's source.

    The scores of a single picture do settle, and then a minute passes without a message.
    """
    image = cv2.imread(str(portrait))
    assert image is not None
    cv2.imwrite(str(folder / "face.png"), image)
    cv2.imwrite(str(folder / "darker.png"), cv2.convertScaleAbs(image, alpha=0.7))
    steps = [{"frames": "face.png", "count": 5}, {"frames": "darker.png", "count": 5}]
    return write_script(folder / "script.json", steps, loop=True)


class Daemon:
    """`serenbox run`, and everything it prints. A context manager that ends it.

    Args:
        folder: Holds its configuration, its runtime folder and its state folder.
        camera: The source.
        name_camera: Whether to name it on the command line; if not, the configuration must.
        program: What to start in place of `python -m serenbox.cli.main`.
        configuration: TOML, complete.
        arguments: More for the command line.
        environment: More for the environment.
        stdout: Where its standard output goes; None for a pipe that fills `messages`.
        stderr: Where its log goes; None for a pipe that fills `log`.

    """

    def __init__(
        self,
        folder: Path,
        camera: str,
        *,
        configuration: str = QUICK,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        name_camera: bool = True,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.folder = folder
        self.configuration = folder / "serenbox.toml"
        if not self.configuration.exists():
            self.configuration.write_text(configuration)
        self.messages: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.states: list[str] = []
        """What systemd was told."""
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / "notify"
        address.unlink(missing_ok=True)
        self._notify.bind(str(address))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "RUNTIME_DIRECTORY": str(folder / "run"),
            "STATE_DIRECTORY": str(folder / "state"),
            "NOTIFY_SOCKET": str(address),
            "PYTHONFAULTHANDLER": "1",  # a crash of the interpreter shows in the log
            **(environment or {}),
        }
        named = ["--camera", camera] if name_camera else []
        self._process = subprocess.Popen(
            [*program, "run", "--config", str(self.configuration), *named, *arguments],
            stdout=stdout or subprocess.PIPE,
            stderr=stderr or subprocess.PIPE,
            env=self.environment,
        )
        self._threads = [threading.Thread(target=self._read_states)]
        if stderr is None:
            self._threads.append(threading.Thread(target=self._read_log))
        if stdout is None:
            self._threads.append(threading.Thread(target=self._read_messages))
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def events(self) -> list[tuple[str, str]]:
        """The changes so far: what the mood was before, and what it became."""
        found = [message for message in list(self.messages) if "event" in message]
        return [(message["previous"], message["mood"]) for message in found]

    def warnings(self) -> list[str]:
        """Return the lines of the log that are not of level info."""
        return [line for line in list(self.log) if " info " not in line]

    def wait_mood(self, label: str) -> None:
        """Wait until that is the mood."""
        self.wait_until(
            lambda: self.messages and self.messages[-1]["mood"] == label, f"the mood {label}"
        )

    def wait_events(self, *labels: str) -> None:
        """Wait until the moods since the beginning are exactly these, in this order."""
        self.wait_until(lambda: [label for _, label in self.events] == [*labels], f"moods {labels}")

    def wait_logged(self, text: str, times: int = 1) -> None:
        """Wait for lines of the log that hold a text."""
        self.wait_until(
            lambda: sum(text in line for line in list(self.log)) >= times, f"the log's {text!r}"
        )

    def wait_state(self, state: str) -> None:
        """Wait until systemd is told that."""
        self.wait_until(lambda: state in list(self.states), state)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; fail at once if the service ends first."""

        def holds() -> bool:
            ended = not self.running
            if ended:
                self._join()
            if condition():
                return True
            if ended:
                code = self._process.returncode
                pytest.fail(f"the service ended with {code} before {what}: {self._said()}")
            return False

        try:
            wait_for(holds, what)
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}; {self._said()}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended and all its output is read; return the exit code."""
        code = self._process.wait(PATIENCE)
        self._join()
        return code

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return the exit code."""
        self.send(number)
        return self.wait()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `serenbox` with other arguments in the same environment."""
        return subprocess.run(
            [*PROGRAM, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def __enter__(self) -> Self:
        """Return the running service."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        if self.running:
            self._process.kill()
        self.wait()

    def _join(self) -> None:
        if self._threads[0].is_alive():
            with contextlib.suppress(OSError):
                self._notify.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()
            self._notify.close()
            for stream in (self._process.stdout, self._process.stderr):
                if stream:
                    stream.close()

    def _said(self) -> str:
        last = self.messages[-1]["mood"] if self.messages else None
        return f"events {self.events}, mood {last}, log {self.log}, states {self.states[-5:]}"

    def _read_messages(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.messages.append(json.loads(line))

    def _read_log(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            if b"may be written to the swap" not in line:  # not every machine has swap
                self.log.append(line.decode(errors="replace").rstrip())

    def _read_states(self) -> None:
        while state := self._notify.recv(4096):
            self.states += state.decode().splitlines()

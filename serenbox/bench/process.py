"""The service as a separate process, watched from outside: memory, processor time, and start.

What is known of a process comes from Linux's /proc.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from serenbox.daemon.control import ask_service
from serenbox.daemon.health import memory_mb
from serenbox.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 60.0
"""Seconds within which anything must happen; some boxes are slow and all are busy now and then."""

_INTERVAL = 0.25
"""Seconds between two looks at a process."""


_COMMAND = "import sys; from serenbox.cli.main import main; sys.exit(main())"
"""What the installed command `serenbox` does, wherever that is."""


class ServiceProcess:
    """`serenbox run` on a clip, with default settings. A context manager that ends it.

    Args:
        folder: For what it writes; one for each process.
        source: The camera.
        settings: Further ones, as `KEY=VALUE`.
        events: Whether its events are to be read.

    """

    def __init__(
        self, folder: Path, source: str, settings: Sequence[str] = (), *, events: bool = False
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._socket = folder / "control"
        self._log = folder / "log"
        command = [sys.executable, "-c", _COMMAND, "run", "--config", os.devnull]
        command += ["--camera", source]
        for setting in settings:
            command += ["--set", setting]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if events else subprocess.DEVNULL,
                stderr=log,
                env=_environment(folder),
            )

    def __enter__(self) -> Self:
        """Return the service, which is starting."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def wait_event(self) -> None:
        """Wait for the first event; raises ServiceError if none comes."""
        wait_line(self._process, self._log)

    def wait_frames(self, count: int) -> int:
        """Wait until it has looked at this many frames; return how many there are by then."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            frames = self.frames() if self._socket.exists() else 0
            if frames >= count:
                return frames
            if self._process.poll() is not None:
                break
            time.sleep(_INTERVAL)
        raise ServiceError(
            f"the service looked at fewer than {count} frames: {last_line(self._log)}"
        )

    def frames(self) -> int:
        """Return how many frames it has looked at."""
        return int(self._status()["frames"])

    def memory_mb(self) -> float:
        """Return its resident memory, millions of bytes; 0 if unknown."""
        return memory_mb(Path(f"/proc/{self._process.pid}/statm"))

    def processor_seconds(self) -> float | None:
        """Return the processor time that it has used, seconds; None if unknown."""
        try:
            # The name, in parentheses, may hold blanks: count from its end.
            text = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2]
        except OSError:
            return None
        user, system = text.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _status(self) -> dict[str, Any]:
        return ask_service("status", [self._socket])


def memory(service: ServiceProcess, seconds: float) -> list[tuple[int, float]]:
    """Return samples over a while: how many frames it has looked at, and its memory in MB.

    Args:
        service: On a clip that plays as fast as it can and does not end.
        seconds: How long to watch it.

    Raises:
        ServiceError: It ends.

    """
    service.wait_frames(_WARM_UP)
    points = [(service.frames(), service.memory_mb())]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(_INTERVAL)
        points.append((service.frames(), service.memory_mb()))
    return points


_WARM_UP = 300
"""Frames after which everything that a service loads once is loaded."""


def idle_share(service: ServiceProcess, seconds: float) -> float | None:
    """Return the share of one core that it takes, 0 to 1 or more; None if unknown.

    Args:
        service: On an empty scene in real time.
        seconds: How long to watch it.

    Raises:
        ServiceError: It ends.

    """
    service.wait_frames(5)
    began, before = time.monotonic(), service.processor_seconds()
    time.sleep(seconds)
    after = service.processor_seconds()
    service.frames()  # raises if it has ended meanwhile
    if before is None or after is None:
        return None
    return (after - before) / (time.monotonic() - began)


def wait_line(process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    """Wait until a process prints something.

    Raises:
        ServiceError: It ends without printing, or takes too long.

    """
    assert process.stdout is not None  # noqa: S101 - for the type checker
    ready, _, _ = select.select([process.stdout], [], [], _PATIENCE)
    if not ready or not process.stdout.readline():
        raise ServiceError(f"a process being measured printed nothing: {last_line(log)}")


def last_line(log: Path | None) -> str:
    """Return the last line of a log, which usually says what is wrong."""
    lines = log.read_text(errors="replace").splitlines() if log else []
    return lines[-1] if lines else "it gave no reason"


def _environment(folder: Path) -> dict[str, str]:
    """Return this process's environment, changed so that a service disturbs no other one."""
    ours = {"NOTIFY_SOCKET", "JOURNAL_STREAM", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "RUNTIME_DIRECTORY": str(folder), "STATE_DIRECTORY": str(folder)}

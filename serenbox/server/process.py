"""The server's processes: gunicorn, its workers, and the folder in which they share metrics."""

# mypy: disallow-subclassing-any=false
# gunicorn ships no types.

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from serenbox.addresses import host_and_port
from serenbox.errors import ServiceError, reason_of
from serenbox.server import create_app
from serenbox.server.settings import SHARED_FOLDER
from serenbox.server.worker import SENDING, PatientWorker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from serenbox.server.settings import ServerSettings

_SPARE_THREADS = 24
"""Threads of a worker beyond those that may wait for the model: they read, and answer 503."""

_GRACEFUL_SECONDS = 8
"""How long a worker may take to finish what it has begun, once it is told to end."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens, and with how many processes."""

    host: str
    port: int
    workers: int


def usable_cores(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may keep busy, at least 1.

    Args:
        group: The control group (version 2) of the container that it runs in, if in any.

    """
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = (group / "cpu.max").read_text("ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no quota: then it is "max"
        return cores


def serve(settings: ServerSettings, listening: Listening, *, access_log: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises:
        ServiceError: The address cannot be listened on.

    """
    _check_address(listening)
    PatientWorker.receive_seconds = settings.receive_seconds
    PatientWorker.hang_up_seconds = settings.wait_seconds + SENDING
    owner = os.getpid()
    with _shared_figures():
        try:
            _Gunicorn(settings, listening, access_log=access_log).run()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
            # From a worker, which also exits through here, gunicorn needs to know why it ended.
            return code if os.getpid() != owner else int(code != 0)
    return 0


def gunicorn_options(
    settings: ServerSettings, listening: Listening, *, access_log: bool = False
) -> dict[str, object]:
    """Return gunicorn's settings."""
    return {
        "bind": host_and_port(listening.host, listening.port),
        "workers": listening.workers,
        "worker_class": PatientWorker,
        "threads": settings.queue + 1 + _SPARE_THREADS,
        "worker_connections": 1000,
        "graceful_timeout": _GRACEFUL_SECONDS,
        "timeout": 60,
        # Also how long a new connection may stay silent: under overload its client is slow.
        "keepalive": math.ceil(settings.receive_seconds),
        "worker_tmp_dir": _memory_folder(),
        "forwarder_headers": "",
        "control_socket_disable": True,
        "accesslog": "-" if access_log else None,
        "proc_name": "serenbox-serve",
        "child_exit": _forget_worker,
    }


class _Gunicorn(BaseApplication):
    """gunicorn with our settings; its workers make the application."""

    def __init__(self, settings: ServerSettings, listening: Listening, *, access_log: bool) -> None:
        self._settings = settings
        self._options = gunicorn_options(settings, listening, access_log=access_log)
        super().__init__()

    def load_config(self) -> None:
        """Pass our settings to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application, in a worker."""
        return create_app(self._settings)


def _forget_worker(_server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's own
    from prometheus_client.multiprocess import mark_process_dead

    with contextlib.suppress(OSError):
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _shared_figures() -> Iterator[None]:
    """Give the workers a folder for their metrics, unless the environment names one."""
    if named := os.environ.get(SHARED_FOLDER):
        if not os.access(named, os.W_OK | os.X_OK) or not Path(named).is_dir():
            raise ServiceError(
                f"${SHARED_FOLDER} is {named}, and must be a folder that may be written to: make "
                "it, or take the variable out of the environment"
            )
        yield
        return
    folder = tempfile.mkdtemp(prefix="serenbox-", dir=_memory_folder())
    os.environ[SHARED_FOLDER] = folder
    owner = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == owner:  # a worker also exits through here
            del os.environ[SHARED_FOLDER]
            shutil.rmtree(folder, ignore_errors=True)


def _memory_folder() -> str | None:
    """Return a folder in memory, because a disk may be slow or read-only; None if there is none."""
    folder = Path("/dev/shm")  # noqa: S108 - names in it are made by mkdtemp and mkstemp
    return str(folder) if os.access(folder, os.W_OK) else None


def _check_address(listening: Listening) -> None:
    """Fail at once, in one line, where gunicorn would try five times and print many."""
    where = host_and_port(listening.host, listening.port)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listening.host, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
    except (OSError, UnicodeError) as error:
        reason = reason_of(error)
        raise ServiceError(
            f"cannot listen on {where} ({reason}): choose another with --host and --port"
        ) from error

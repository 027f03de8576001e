"""`serenbox serve` as a real process on a free port of loopback, for tests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
"""Seconds to wait for what must come."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body or None, headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())

    def raw(self, content: bytes) -> bytes:
        """Send bytes, whatever they are, and return all that comes back."""
        with self.connect() as connection:
            connection.sendall(content)
            return read_all(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def read_all(connection: socket.socket) -> bytes:
    content = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            content += chunk
    return content


QUICK = ("--workers", "2", "--receive-seconds", "1", "--queue", "4")
"""A short time limit, so that the tests need not wait long."""

PATIENT = ("--workers", "2", "--receive-seconds", "60", "--queue", "4")
"""A time limit within which much can arrive, also on a busy machine."""


@contextlib.contextmanager
def serving(log: Path, *options: str, **environment: str) -> Iterator[Server]:
    """Start a server, wait until it answers, and stop it in the end: its log has no traceback."""
    port = free_port()
    command = [sys.executable, "-m", "serenbox.cli.main", "serve", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        )
    server = Server(process, port, log)
    try:
        wait_until_healthy(server)
        yield server
        text = log.read_text("utf-8")
        assert "Traceback" not in text, text
    finally:
        if process.poll() is None:
            server.stop()


def wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("GET", "/healthz").status == 200:
                return
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the server does not start: {server.log.read_text('utf-8')}")
        time.sleep(0.1)


def workers_of(server: Server, count: int | None = None) -> set[int]:
    """Return the process IDs of the workers; with a count, wait until there are that many.

    The first worker answers before the others have been started.
    """
    command = ["ps", "-o", "pid=", "--ppid", str(server.process.pid)]
    deadline = time.monotonic() + PATIENCE
    while True:
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if count in (None, len(listed)):
            return set(map(int, listed))
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)


def memory_of(pid: int) -> tuple[int, int]:
    """Return the bytes that a process has in memory, and the most that it ever had."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    )
    now, most = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def form(content: bytes, field: str = "file", name: str = "photo.png") -> tuple[bytes, str]:
    """Return the body of a form with one file, and its Content-Type."""
    head = (
        f'--xyz\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    return head.encode() + content + b"\r\n--xyz--\r\n", "multipart/form-data; boundary=xyz"

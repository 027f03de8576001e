"""Visitors of the web page for tests: polite ones, slow ones, and ones that talk nonsense."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Return status and text of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def ask_json(port: int, path: str) -> dict[str, Any]:
    """Return what a GET brings; it must succeed."""
    status, text = ask(port, path)
    assert status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


def answers(port: int) -> bool:
    """Tell whether somebody serves there."""
    try:
        ask(port, "/healthz")
    except OSError:
        return False
    return True


def say(port: int, data: bytes, timeout: float = PATIENCE) -> bytes:
    """Send something and return all that comes until the other side hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        heard = b""
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while more := sock.recv(65536):
                heard += more
        return heard


class Viewer:
    """Opens the stream of events; reads them only when asked to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self._answer = http.client.HTTPResponse(self._socket)

    def status(self) -> int:
        """Return the status of the answer and read on behind its headers."""
        self._answer.begin()
        return self._answer.status

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each event's name and message."""
        name = ""
        while line := self._answer.readline().decode().rstrip("\n"):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self._answer.readline()  # the empty one that ends the event
                yield name, json.loads(line.removeprefix("data: "))
            elif line.startswith(":"):
                self._answer.readline()

    def wait(self, name: str, **fields: object) -> dict[str, Any]:
        """Return the first event of that name whose message has these fields."""
        for found, message in self.events():
            if found == name and all(message[key] == value for key, value in fields.items()):
                return message
        raise AssertionError(f"the stream ended before {name} {fields}")

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._answer.close()
        self._socket.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.close()

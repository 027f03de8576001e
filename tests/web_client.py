"""Visitors to the web page for tests: polite ones, slow ones, and ones that send nonsense."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    import numpy.typing as npt

PATIENCE = 30.0


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Return status and text of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def ask_json(port: int, path: str) -> dict[str, Any]:
    """Return the JSON that a GET brings; it must succeed."""
    status, text = ask(port, path)
    assert status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


def answers(port: int) -> bool:
    """Return whether a server answers on the port."""
    try:
        ask(port, "/healthz")
    except OSError:
        return False
    return True


def say(port: int, data: bytes, timeout: float = PATIENCE, *, half_close: bool = True) -> bytes:
    """Send bytes and return all that comes until the other side hangs up.

    With `half_close` the box is told that no more bytes will come.
    """
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        heard = b""
        with contextlib.suppress(OSError):  # if the box has hung up, the socket is "not connected"
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while more := sock.recv(65536):
                heard += more
        return heard


def nonsense(chance: random.Random) -> bytes:
    """Return a request that is damaged in some way, or is no request at all."""
    methods = ("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "TRACE", "CONNECT", "x" * 300, "")
    paths = (
        "/",
        "/api/events",
        "/api/mood",
        "/api/preview",
        "/static/%00",
        "/login",
        "/metrics",
        "//",
        "*",
        "/%ff",
    )
    headers = [
        "Content-Length: " + chance.choice(("0", "-1", "5", "9" * 30, "a")),
        "Transfer-Encoding: chunked",
        "Origin: " + chr(chance.randrange(33, 1000)),
        "Cookie: serenbox=" + "x" * chance.randrange(200),
        "Authorization: Bearer",
        "Range: bytes=-1-",
        "Connection: upgrade",
    ]
    chosen = chance.sample(headers, chance.choice((0, 0, 1, 2, len(headers))))
    if chance.random() < 0.8:
        chosen.append("Host: 127.0.0.1")
    path = chance.choice(paths) + "?period=" + "%" * chance.randrange(4)
    version = chance.choice(("1.1", "1.1", "1.0", "9.9", ""))
    lines = [f"{chance.choice(methods)} {path} HTTP/{version}", *chosen, "", ""]
    data = bytearray("\r\n".join(lines).encode("utf-8"))
    for _ in range(chance.choice((0, 0, 1, 5, 50))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.1 else bytes(data)


class Viewer:
    """Opens the stream of events; reads them only when asked to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self._answer = http.client.HTTPResponse(self._socket)

    def status(self) -> int:
        """Read the answer up to the end of its headers; return its status."""
        self._answer.begin()
        return self._answer.status

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each event's name and message, for no longer than the others are waited for."""
        deadline, name = time.monotonic() + PATIENCE, ""
        while line := self._answer.readline().decode().rstrip("\n"):
            assert time.monotonic() < deadline, "waited in vain for an event"
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self._answer.readline()  # the empty line that ends the event
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


class Spectator:
    """Watches the camera live, for as long as it is open."""

    def __init__(self, port: int, **headers: str) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._connection.connect()
        assert self._connection.sock
        self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._connection.request(
            "POST", "/api/preview", headers={"X-SerenBox-Preview": "on", **headers}
        )
        self.address: tuple[str, int] = self._connection.sock.getsockname()
        """Where it watches from."""
        self._answer: http.client.HTTPResponse | None = None

    def status(self) -> int:
        """Return the status of the answer."""
        self._answer = self._connection.getresponse()
        return self._answer.status

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return the next picture, (height, width, 3) BGR."""
        data = self._part()
        assert data is not None, "the preview has ended"
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return np.asarray(image, np.uint8)

    def drain(self) -> int:
        """Wait until the preview ends as HTTP requires; return the number of pictures until then.

        Raises:
            http.client.IncompleteRead: It ended in the middle.

        """
        count = 0
        while self._part() is not None:
            count += 1
        return count

    def close(self) -> None:
        """Leave."""
        if self._answer:
            self._answer.close()
        self._connection.close()

    def _part(self) -> bytes | None:
        assert self._answer
        if not (line := self._answer.readline()):
            self._answer.read()
            return None
        assert line == b"--picture\r\n"
        assert self._answer.readline() == b"Content-Type: image/jpeg\r\n"
        size = int(self._answer.readline().removeprefix(b"Content-Length: "))
        assert self._answer.readline() == b"\r\n"
        data = self._answer.read(size + 2)
        assert len(data) == size + 2
        return data[:-2]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.close()


class Sluggards:
    """Visitors who send half a request and then a byte now and then, or nothing at all.

    If the box hangs up on one, it comes again. A context manager: they leave at its end.
    """

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._sockets: list[socket.socket | None] = [None] * count
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._dawdle)
        self.hung_up_on = 0
        """How often the box hung up on one of them."""

    def _dawdle(self) -> None:
        while not self._leaving.wait(0.1):
            for number, sock in enumerate(self._sockets):
                try:
                    if sock is None:
                        self._sockets[number] = self._come()
                    elif number % 3:
                        self._nag(sock)
                except OSError:
                    self.hung_up_on += 1
                    self._sockets[number] = None
                    if sock:
                        sock.close()

    def _nag(self, sock: socket.socket) -> None:
        """Send another byte; raise OSError if the box has hung up."""
        with contextlib.suppress(BlockingIOError):
            sock.send(b"x")
            if not sock.recv(65536):
                raise ConnectionResetError

    def _come(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        sock.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        sock.setblocking(False)
        return sock

    def __enter__(self) -> Self:
        """Come."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self._leaving.set()
        self._thread.join()
        for sock in self._sockets:
            if sock:
                sock.close()

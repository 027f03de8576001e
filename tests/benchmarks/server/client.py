"""A client that takes little processor time: bytes out, status line and body in."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.server_process import Server

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"connection: *close", re.IGNORECASE)


class Client:
    """One connection that is kept, and opened again if the server has closed it.

    Args:
        server: The server to ask.

    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        """Begin; the connection is opened when it is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._close()

    def post(self, path: str, content: bytes) -> int:
        """Send a body and return the status of the answer, 0 if none came."""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
        try:
            if self._connection is None:
                self._connection = self._server.connect()
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # An answer may come, and the connection end, before all is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.sendall(head.encode())
                self._connection.sendall(content)
            return self._answer(self._connection)
        except OSError:
            self._close()
            return 0

    def _answer(self, connection: socket.socket) -> int:
        received = b""
        while _HEAD_END not in received:
            received += self._more(connection)
        head, _, body = received.partition(_HEAD_END)
        length = _LENGTH.search(head)
        missing = (int(length[1]) if length else 0) - len(body)
        while missing > 0:
            missing -= len(self._more(connection))
        if _CLOSE.search(head):
            self._close()
        return int(head[9:12])

    def _more(self, connection: socket.socket) -> bytes:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        return piece

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

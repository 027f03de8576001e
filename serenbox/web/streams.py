"""Streams: how server-sent events are written, and what waits for one viewer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIGN_OF_LIFE = b": still here\n\n"
"""A comment, by which both sides notice that the other has gone."""

LAST_CHUNK = b"0\r\n\r\n"
"""What ends an answer in chunks."""


def event(name: str, message: Mapping[str, Any]) -> bytes:
    """Return one event: its name, and the message as JSON in one line."""
    text = json.dumps(message, separators=(",", ":"), allow_nan=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """Return the data as one chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Backlog:
    """What waits for one viewer: the rest of what was begun, and of every kind the latest only.

    So a viewer who does not read costs a few kilobytes, and gets the present when reading again.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._waiting: dict[str, bytes] = {}

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._rest or self._waiting)

    def add(self, kind: str, data: bytes) -> None:
        """Add what is to be sent; it replaces what waits of the same kind."""
        self._waiting[kind] = data

    def send(self, send: Callable[[bytes], int]) -> int:
        """Send what goes; return the number of bytes.

        Args:
            send: Like `socket.send` of a socket that does not block.

        Raises:
            OSError: The viewer has gone.

        """
        sent = 0
        while self:
            if not self._rest:
                self._rest = self._waiting.pop(next(iter(self._waiting)))
            try:
                count = send(self._rest)
            except BlockingIOError:
                break
            sent += count
            self._rest = self._rest[count:]
        return sent

"""How server-sent events are encoded, and what waits for one viewer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIGN_OF_LIFE = b": still here\n\n"
"""A comment that lets each side notice if the other has gone."""

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked answer."""


def event(name: str, message: Mapping[str, Any]) -> bytes:
    """Return one event: its name, and the message as JSON in one line."""
    text = json.dumps(message, separators=(",", ":"), allow_nan=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """Return the data as one chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Backlog:
    """What waits for one viewer: the rest of what was partly sent, and the latest of each kind.

    So a viewer who does not read costs a few kilobytes, and gets the latest when reading again.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._waiting: dict[str, bytes] = {}

    def __bool__(self) -> bool:
        """Return whether anything waits."""
        return bool(self._rest or self._waiting)

    def add(self, kind: str, data: bytes) -> None:
        """Add data to be sent; it replaces waiting data of the same kind."""
        self._waiting[kind] = data

    def send(self, send: Callable[[bytes], int]) -> int:
        """Send as much as possible; return the number of bytes.

        Args:
            send: Like `socket.send` of a non-blocking socket.

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

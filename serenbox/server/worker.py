"""gunicorn's threaded worker, made safe against clients that are slow or do not speak HTTP."""

# mypy: disallow-subclassing-any=false
# gunicorn ships no types.

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

from gunicorn.http import errors
from gunicorn.workers import gthread

_REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    errors.LimitRequestLine: (414, "URI Too Long", "the address is too long"),
    errors.LimitRequestHeaders: (
        431,
        "Request Header Fields Too Large",
        "the request has too many headers, or ones that are too long",
    ),
    errors.ExpectationFailed: (
        417,
        "Expectation Failed",
        "the header Expect may only be 100-continue: leave it out",
    ),
}
_NO_HTTP = (400, "Bad Request", "the request is not valid HTTP")
_PATIENCE = 1.0
"""Seconds between the application's own limit for a body and the end of reading."""

SENDING = 20.0
"""Seconds for the model to look at a picture and for the client to take the answer."""


class PatientWorker(gthread.ThreadWorker):
    """Gives no thread to a silent connection, and none for long to a slow one.

    The application ends bodies that trickle; this ends heads that trickle, and bodies that stall.
    """

    receive_seconds = 15.0
    """How long a request may take to arrive; `serenbox serve` sets it."""

    hang_up_seconds = SENDING
    """How long everything else may take, with the wait for the model; `serenbox serve` sets it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*args, **kwargs)
        self._begun: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's own
        """Handle the next request of a connection, in a thread of the pool."""
        if not conn.initialized and not conn.wait_for_data(0):
            return gthread._DEFER  # noqa: SLF001 - back to the loop, which waits without a thread
        self._begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._begun.pop(conn, None)

    def murder_pending(self) -> None:
        """Stop reading, about once a second, from clients that take too long.

        The way back stays open at first, so that an incomplete request is still answered. A client
        that has not taken the answer after another `hang_up_seconds` loses its thread.
        """
        super().murder_pending()
        now = time.monotonic()
        for conn, begun in self._begun.copy().items():
            how = None
            if now - begun > self.receive_seconds + self.hang_up_seconds:
                how = socket.SHUT_RDWR
            elif now - begun > self.receive_seconds + _PATIENCE:
                how = socket.SHUT_RD
            if how is not None:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(how)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Answer invalid HTTP in JSON, and as what it is: a mistake of the client."""
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        status, reason, message = _REFUSALS.get(type(exc), _NO_HTTP)
        name = reason.lower().replace(" ", "_")
        body = json.dumps({"status": status, "error": name, "message": message}) + "\n"
        head = (
            f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            client.sendall((head + body).encode("ascii"))

"""gunicorn's threaded worker, made safe against clients that are slow or do not speak HTTP."""

# mypy: disallow-subclassing-any=false
# gunicorn ships no types.

from __future__ import annotations

import contextlib
import io
import json
import re
import selectors
import socket
import time
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from gunicorn.http import errors
from gunicorn.workers import gthread

if TYPE_CHECKING:
    from concurrent.futures import Executor

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

_LONGEST_HEAD = 64 * 1024
"""Bytes of a head that are kept while its end has not come."""

_FAREWELL = 2.0
"""Seconds that a client has to hang up after its last answer, or to ask once the worker ends."""

_LAST_WORDS = 64 * 1024
"""Bytes that are read from a client after its last answer: if the socket were closed with unread
input, the system would reset the connection, and the end of the answer could be lost."""

_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding):", re.IGNORECASE)
"""What only the head of a request with a body holds."""


class PatientWorker(gthread.ThreadWorker):
    """Gives no thread to a connection before the head of a request has come, and none for long.

    The application ends bodies that trickle; this ends heads that trickle, and bodies that stall.
    Requests with a body have threads of their own, so that others need not wait for bodies.
    Nor does the event loop wait for one client to hang up, as gunicorn's own does.
    """

    receive_seconds = 15.0
    """How long a request may take to arrive; `serenbox serve` sets it."""

    hang_up_seconds = SENDING
    """How long everything else may take, with the wait for the model; `serenbox serve` sets it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*args, **kwargs)
        self._begun: dict[Any, float] = {}
        self._leaving: dict[Any, int] = {}
        self._body_threads: Executor

    def init_process(self) -> None:
        """Start the threads, and work until the worker is to end."""
        self._body_threads = self.get_thread_pool()
        super().init_process()

    def handle_quit(self, sig: int, frame: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Finish what has begun, also at Ctrl-C: gunicorn ends a worker that takes too long."""
        self.handle_exit(sig, frame)

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Give a connection to a thread if the head of a request has come; in the event loop."""
        left: Future[Any] = Future()
        try:
            head = _read_head(conn, self.receive_seconds) if self.alive else b""
            if head is not None:
                threads = self._body_threads if _BODY.search(head) else self.tpool
                work = threads.submit(self.handle, conn)
                work.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))
                return
            left.set_result(gthread._DEFER)  # noqa: SLF001 - the loop waits for more
        except errors.ParseException as error:
            self.handle_error(None, conn.sock, conn.client, error)
            left.set_result(None)
        except OSError:
            left.set_result(None)
        self.finish_request(conn, left)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's own
        """Handle the next request of a connection, in a thread of a pool."""
        self._begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._begun.pop(conn, None)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:  # noqa: ANN401 - gunicorn's own
        """Go on with a connection that its thread has let go of, in the event loop."""
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
            return
        self._leaving[conn] = 0
        conn.timeout = time.monotonic() + _FAREWELL
        try:
            conn.sock.setblocking(False)  # noqa: FBT003 - takes no keyword
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._hear_out, conn))
        except (OSError, ValueError):  # the client hung up first
            self._part(conn)

    def _hear_out(self, conn: Any, _: object) -> None:  # noqa: ANN401 - gunicorn's own
        """Discard what a client still says, until it hangs up."""
        try:
            heard = len(conn.sock.recv(_LAST_WORDS))
        except BlockingIOError:
            return
        except OSError:
            heard = 0
        self._leaving[conn] += heard
        if not heard or self._leaving[conn] >= _LAST_WORDS:
            self._part(conn)

    def _part(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's own
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        del self._leaving[conn]
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Stop reading, about once a second, from clients that take too long.

        The way back stays open at first, so that an incomplete request is still answered. A client
        that has not taken the answer after another `hang_up_seconds` loses its thread.
        """
        now = time.monotonic()
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, now + _FAREWELL)
        super().murder_pending()
        for conn in [leaving for leaving in self._leaving if now > leaving.timeout]:
            self._part(conn)
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


def _read_head(conn: Any, seconds: float) -> bytes | None:  # noqa: ANN401 - gunicorn's own
    """Return the head of the next request once it has come; do not wait for it.

    A head that can only be refused counts as complete, and so does what a connection that has ended
    leaves behind.

    Raises:
        LimitRequestHeaders: Too much has come without an end.
        OSError: The connection broke, or the head has taken longer than `seconds`.

    """
    conn.init()
    conn.sock.setblocking(False)  # noqa: FBT003 - takes no keyword
    kept = conn.parser.unreader.buf
    ended = False
    # Requests that came with the last one are answered first. Otherwise one client could fill the
    # memory with them.
    if not _complete(kept.getvalue()):
        with contextlib.suppress(BlockingIOError):
            came = conn.sock.recv(_LONGEST_HEAD)
            ended = not came
            kept.seek(0, io.SEEK_END)
            kept.write(came)
    head: bytes = kept.getvalue()
    if ended or _complete(head):
        conn.head_began = None
        return head.partition(b"\r\n\r\n")[0]
    if len(head) > _LONGEST_HEAD:
        raise errors.LimitRequestHeaders("no end of the head")
    if head:
        conn.head_began = getattr(conn, "head_began", None) or time.monotonic()
        if time.monotonic() - conn.head_began > seconds:
            raise TimeoutError
    return None


def _complete(head: bytes) -> bool:
    return b"\r\n\r\n" in head or head.count(b"\n") != head.count(b"\r\n")

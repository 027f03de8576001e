"""One visitor: reads requests, writes answers, becomes a stream. Never blocks."""

from __future__ import annotations

import contextlib
import enum
import socket
import time
from typing import TYPE_CHECKING

import h11

from serenbox.web.streams import LAST_CHUNK, Backlog
from serenbox.web.wsgi import Answer, BadTargetError, call, make_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

LARGEST_HEAD = 16384
LARGEST_BODY = 4096
"""Maximum bytes of a request. The largest one that makes sense carries a token."""

_BLOCK = 16384
_STREAM_BUFFER = 32768
"""Bytes that the system buffers for a viewer who does not read; it uses about twice as many."""

_UNACKNOWLEDGED = 30_000
"""Milliseconds after which a viewer whose machine no longer answers is considered gone."""


class Phase(enum.Enum):
    """What a connection is doing."""

    IDLE = "idle"
    """Nothing has come since the last answer, if there was one."""
    READING = "reading"
    """Part of a request has come."""
    WRITING = "writing"
    """An answer is being sent."""
    STREAMING = "streaming"
    """Events or pictures are being sent."""
    LEAVING = "leaving"
    """The last answer is sent. What still comes is discarded until the visitor hangs up: if the
    socket were closed with unread input, the system would reset the connection, and the visitor
    could lose the end of the answer (RFC 9112, 9.6)."""
    CLOSED = "closed"


_PATIENCE = {
    Phase.IDLE: 30.0,
    Phase.READING: 10.0,
    Phase.WRITING: 20.0,
    Phase.STREAMING: 20.0,
    Phase.LEAVING: 2.0,
    Phase.CLOSED: 0.0,
}
"""Maximum seconds in each phase; for a stream, consecutive seconds in which nothing can be sent."""


class Connection:
    """One connection.

    Args:
        sock: Its socket, non-blocking.
        address: The visitor's address.
        application: Answers the requests.
        stream_opened: Called with this connection and the kind of stream that it asks for; returns
            False if there are too many.

    """

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        application: WSGIApplication,
        stream_opened: Callable[[Connection, str], bool],
    ) -> None:
        self.socket = sock
        self.phase = Phase.IDLE
        self.backlog = Backlog()
        """What waits to be sent on the stream."""
        self.address = address
        """The visitor's address."""
        self.began = time.monotonic()
        """When it was accepted, or when its stream began."""
        self._application = application
        self._stream_opened = stream_opened
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self._request: h11.Request | None = None
        self._body = b""
        self._outgoing = b""
        self._hang_up = False
        self._wants_stream = False
        self._chunked = True
        self._since = time.monotonic()

    @property
    def open(self) -> bool:
        """Whether it is not closed."""
        return self.phase is not Phase.CLOSED

    @property
    def wants_to_write(self) -> bool:
        """Whether it waits until something can be sent."""
        return self.phase is Phase.WRITING or (self.phase is Phase.STREAMING and bool(self.backlog))

    @property
    def wants_to_read(self) -> bool:
        """Whether it reads: not while an answer is being sent, so that nobody fills the memory."""
        return self.phase is not Phase.WRITING

    def overdue(self, now: float) -> bool:
        """Return whether its phase takes too long."""
        if self.phase is Phase.STREAMING and not self.backlog:
            return False
        return now - self._since > _PATIENCE[self.phase]

    def readable(self) -> None:
        """Read what came and handle it."""
        try:
            data = self.socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or self.phase is Phase.STREAMING:  # a viewer has nothing to say
            self.close()
            return
        if self.phase is Phase.LEAVING:
            return
        if self.phase is Phase.IDLE:
            self._enter(Phase.READING)
        self._http.receive_data(data)
        self._go_on()

    def writable(self) -> None:
        """Send what waits, then handle what was received meanwhile."""
        self._flush()
        self._go_on()

    def push(self, kind: str, event: bytes, chunked: bytes) -> None:
        """Send an event.

        Args:
            kind: Only the latest of a kind waits.
            event: The event.
            chunked: The same as an HTTP chunk, made once for all viewers.

        """
        if not self.backlog:
            self._since = max(self._since, time.monotonic())
        self.backlog.add(kind, chunked if self._chunked else event)
        if self.phase is Phase.STREAMING:
            self._flush()

    def finish(self) -> None:
        """End the stream; if all of it was sent, mark the end to distinguish it from a failure."""
        if self.phase is Phase.STREAMING and self._chunked and not self.backlog:
            with contextlib.suppress(OSError):
                self.socket.send(LAST_CHUNK)
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.phase = Phase.CLOSED
        self.socket.close()

    def _flush(self) -> None:
        try:
            if self.phase is Phase.STREAMING:
                if self.backlog.send(self.socket.send):
                    self._since = time.monotonic()
            elif self.phase is Phase.WRITING:
                self._outgoing = self._outgoing[self.socket.send(self._outgoing) :]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self.phase is Phase.WRITING and not self._outgoing:
            self._answered()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._since = time.monotonic()

    def _go_on(self) -> None:
        """Answer complete requests, one after the other."""
        while self.phase is Phase.READING:
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    if self._http.they_are_waiting_for_100_continue:
                        self._refuse(417)  # no request needs a long body here
                    return
                if event is h11.PAUSED:  # nothing here switches protocols
                    self.close()
                    return
                self._take(event)
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
            except BadTargetError:
                self._refuse(400)

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._request, self._body = event, b""
        elif isinstance(event, h11.Data):
            self._body += bytes(event.data)
            if len(self._body) > LARGEST_BODY:
                self._refuse(413)
        elif isinstance(event, h11.EndOfMessage) and self._request is not None:
            environment = make_environment(
                self._request, self._body, self.address, self._open_stream
            )
            self._chunked = self._request.http_version == b"1.1"
            self._send(call(self._application, environment))
        elif isinstance(event, h11.ConnectionClosed):
            self.close()

    def _open_stream(self, kind: str) -> bool:
        self._wants_stream = self._stream_opened(self, kind)
        return self._wants_stream

    def _refuse(self, status: int) -> None:
        """Reject what is not a valid request, and hang up."""
        self._hang_up = True
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [("Content-Length", "0"), ("Connection", "close")]
            self._send(Answer(status, "", headers, b""))
        else:
            self.close()

    def _send(self, answer: Answer) -> None:
        response = h11.Response(
            status_code=answer.status, headers=answer.headers, reason=answer.reason.encode()
        )
        self._outgoing = self._http.send(response) or b""
        if not self._wants_stream:
            head_only = self._request is not None and self._request.method == b"HEAD"
            if answer.body and not head_only:
                self._outgoing += self._http.send(h11.Data(data=answer.body)) or b""
            self._outgoing += self._http.send(h11.EndOfMessage()) or b""
        self._enter(Phase.WRITING)
        self._flush()

    def _answered(self) -> None:
        """Go on after an answer has been sent."""
        if self._wants_stream:
            self._begin_stream()
        elif self._hang_up or self._http.our_state is not h11.DONE:
            self._leave()
        else:
            self._request = None
            self._http.start_next_cycle()
            more = bool(self._http.trailing_data[0])
            self._enter(Phase.READING if more else Phase.IDLE)

    def _leave(self) -> None:
        self._enter(Phase.LEAVING)
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the visitor hung up first
            self.close()

    def _begin_stream(self) -> None:
        self._enter(Phase.STREAMING)
        self.began = self._since
        options = (
            (socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_BUFFER),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED),
        )
        for level, option, value in options:
            self.socket.setsockopt(level, option, value)
        self._flush()  # what was pushed meanwhile

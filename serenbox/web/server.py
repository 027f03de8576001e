"""A small HTTP server in one thread, for answers from memory and streams of events.

Servers with a thread pool give a thread to every connection that has not sent its request yet, and
to every stream: a few silent ones block all others. Here h11 parses the requests, a selector picks
the connections that can go on, and the application, which answers within a millisecond or two, is
called in between. So any number of slow visitors costs only memory, and that is limited.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from serenbox.web.connection import Connection, Phase
from serenbox.web.streams import chunk

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from wsgiref.types import WSGIApplication

_log = logging.getLogger("serenbox.web")

CONNECTIONS = 64
"""Maximum connections at a time, not counting streams; a further one closes the oldest."""

_REST = 0.5
"""Seconds for which no connection is accepted after the system ran out of resources."""


class Server:
    """Serves visitors whenever `serve` is called.

    Args:
        listener: The listening socket, non-blocking.
        application: Answers requests, in the thread that calls `serve`.
        limits: Maximum viewers at a time, by kind of stream.
        welcome: Called with a new viewer and its kind; pushes to it what it should know at once.

    """

    def __init__(
        self,
        listener: socket.socket,
        application: WSGIApplication,
        *,
        limits: Mapping[str, int],
        welcome: Callable[[Connection, str], None],
    ) -> None:
        self._listener = listener
        self._application = application
        self._limits = limits
        self._welcome = welcome
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._visitors: OrderedDict[Connection, None] = OrderedDict()
        self._viewers: dict[Connection, str] = {}
        self._rest_until: float | None = None
        self.streams = Counter(dict.fromkeys(limits, 0))
        """Number of current viewers, by kind."""
        self.refused = Counter(dict.fromkeys(limits, 0))
        """Number of viewers turned away, by kind."""
        self.dropped = 0
        """Number of visitors and viewers who were too slow."""

    def viewers(self, kind: str) -> list[Connection]:
        """Return the viewers of that kind of stream."""
        return [viewer for viewer, watched in self._viewers.items() if watched == kind]

    @property
    def visited(self) -> bool:
        """Whether anybody is connected, or nobody can be accepted at the moment."""
        return bool(self._visitors or self._viewers or self._rest_until is not None)

    def watch(self, file: object) -> None:
        """Also return from `serve` when that file is readable."""
        self._selector.register(file, selectors.EVENT_READ)  # type: ignore[arg-type]

    def serve(self, timeout: float | None) -> None:
        """Handle what is ready, waiting for it at most `timeout` seconds; None waits forever."""
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, Connection):
                self._go_on(key.data, events)

    def push(self, stream: str, kind: str, data: bytes) -> None:
        """Send data to every viewer of a kind of stream; see `Connection.push`."""
        chunked = chunk(data)
        for viewer in self.viewers(stream):
            viewer.push(kind, data, chunked)
            self._follow(viewer)

    def finish(self, viewer: Connection) -> None:
        """End a viewer's stream."""
        viewer.finish()
        self._dismiss(viewer)

    def tidy(self) -> None:
        """Drop connections that are too slow; to be called about once a second."""
        now = time.monotonic()
        if self._rest_until is not None and now >= self._rest_until:
            self._rest_until = None
            self._selector.register(self._listener, selectors.EVENT_READ)
        for connection in [*self._visitors, *self._viewers]:
            if connection.overdue(now):
                self.dropped += connection.phase not in {Phase.IDLE, Phase.LEAVING}
                self._dismiss(connection)

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        for connection in [*self._visitors, *self._viewers]:
            self._dismiss(connection)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # too many open files, no memory
            _log.debug("nobody can be let in: %s", error)
            self._selector.unregister(self._listener)
            self._rest_until = time.monotonic() + _REST
            return
        sock.setblocking(False)  # noqa: FBT003 - takes no keyword
        if len(self._visitors) >= CONNECTIONS:
            self._dismiss(next(iter(self._visitors)))
        connection = Connection(sock, str(address[0]), self._application, self._open_stream)
        self._visitors[connection] = None
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _go_on(self, connection: Connection, events: int) -> None:
        if not connection.open:  # closed while another one was handled
            return
        if events & selectors.EVENT_WRITE:
            connection.writable()
        if events & selectors.EVENT_READ and connection.open:
            connection.readable()
        self._follow(connection)

    def _open_stream(self, connection: Connection, kind: str) -> bool:
        if self.streams[kind] >= self._limits[kind]:
            self.refused[kind] += 1
            return False
        self._visitors.pop(connection, None)
        self._viewers[connection] = kind
        self.streams[kind] += 1
        self._welcome(connection, kind)
        return True

    def _follow(self, connection: Connection) -> None:
        """Select the events that the connection waits for."""
        if not connection.open:
            self._dismiss(connection)
            return
        events = selectors.EVENT_READ * connection.wants_to_read
        events |= selectors.EVENT_WRITE * connection.wants_to_write
        if self._selector.get_key(connection.socket).events != events:
            self._selector.modify(connection.socket, events, connection)

    def _dismiss(self, connection: Connection) -> None:
        self._visitors.pop(connection, None)
        watched = self._viewers.pop(connection, None)
        if watched is not None:
            self.streams[watched] -= 1
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection.socket)
        connection.close()

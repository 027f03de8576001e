"""A small HTTP server in one thread, for answers that come from memory and streams of events.

Servers with a pool of threads give a thread to every connection that has not said its request yet,
and to every stream: a few silent ones hold up all others. Here h11 reads the requests, a selector
tells which connection goes on, and the application, whose answers take no longer than a millisecond
or two, is called in between. So any number of slow visitors costs memory only, and that is limited.
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
"""Connections at a time, beside streams; for another one the oldest is closed."""

_REST = 0.5
"""Seconds for which nobody is let in where the system has no room."""


class Server:
    """Serves until told otherwise.

    Args:
        listener: Where visitors come; does not block.
        application: Answers their requests, in the thread that calls `serve`.
        limits: Viewers at a time, by the kind of stream.
        welcome: Called for a new viewer and its kind; pushes to it what it should know at once.

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
        """Viewers there are, by kind."""
        self.refused = Counter(dict.fromkeys(limits, 0))
        """Viewers who were too many, by kind."""
        self.dropped = 0
        """Visitors and viewers who were too slow."""

    def viewers(self, kind: str) -> list[Connection]:
        """Return who watches that kind of stream."""
        return [viewer for viewer, watched in self._viewers.items() if watched == kind]

    @property
    def visited(self) -> bool:
        """Whether anybody is connected, or nobody can be let in at the moment."""
        return bool(self._visitors or self._viewers or self._rest_until is not None)

    def watch(self, file: object) -> None:
        """Also return from `serve` when that file is readable."""
        self._selector.register(file, selectors.EVENT_READ)  # type: ignore[arg-type]

    def serve(self, timeout: float | None) -> None:
        """Do what there is to do, waiting for it so many seconds at most; None for any time."""
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, Connection):
                self._go_on(key.data, events)

    def push(self, stream: str, kind: str, data: bytes) -> None:
        """Send something to every viewer of a kind of stream; see `Connection.push`."""
        chunked = chunk(data)
        for viewer in self.viewers(stream):
            viewer.push(kind, data, chunked)
            self._follow(viewer)

    def finish(self, viewer: Connection) -> None:
        """End a viewer's stream."""
        viewer.finish()
        self._dismiss(viewer)

    def tidy(self) -> None:
        """Drop who is too slow; to be called about once a second."""
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
        sock.setblocking(False)  # noqa: FBT003 - a name is not taken
        if len(self._visitors) >= CONNECTIONS:
            self._dismiss(next(iter(self._visitors)))
        connection = Connection(sock, str(address[0]), self._application, self._open_stream)
        self._visitors[connection] = None
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _go_on(self, connection: Connection, events: int) -> None:
        if not connection.open:  # by what was done for another one
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
        """Wait for what the connection waits for."""
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

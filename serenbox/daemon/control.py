"""The Unix socket over which commands such as `serenbox pause` and `status` talk to the service.

A client sends a short text and gets one JSON object. SEQPACKET sockets keep messages whole, so
neither side ever waits for the rest of one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import selectors
import socket
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from serenbox.daemon.lock import is_at
from serenbox.daemon.paths import socket_candidates
from serenbox.errors import NoServiceError, ServiceError, reason_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

_log = logging.getLogger("serenbox.control")

_LONGEST_REQUEST = 64
_LONGEST_ANSWER = 65536
_CLIENTS = 8
"""Maximum number of clients; one more displaces the one that has been silent longest."""

_REST = 0.5
"""Seconds for which no client is accepted after the system ran out of resources."""

_QUEUEING = 0.02
"""Seconds between two attempts to connect."""

_START = "start it with `sudo systemctl start serenbox` or `serenbox run`"


class ControlServer:
    """Answers requests in the thread that runs the selector; never blocks.

    The socket's owner and group may connect.

    Args:
        path: Where to listen. A socket that a killed service left behind is replaced.
        selector: Each key's data is a function to call when its file is ready.
        answer: Takes a request and returns an object ready for JSON.

    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        answer: Callable[[str], dict[str, Any]],
    ) -> None:
        self._path = path
        self._selector = selector
        self._answer = answer
        self._clients: OrderedDict[socket.socket, None] = OrderedDict()
        self._listener: socket.socket | None = None
        self._file: os.stat_result  # what `open` has made
        self._problem: str | None = None
        self._rest: threading.Timer | None = None

    def open(self) -> None:
        """Start listening; if that is impossible, log a warning and go on without."""
        try:
            self._listener = self._bound()
        except OSError as error:
            self._report(reason_of(error))
            return
        self._problem = None
        self._listen()

    def renew(self) -> None:
        """Listen anew if the socket's file has gone, because then nobody finds it."""
        if self._listener is None or not is_at(self._file, self._path):
            self.close()
            self.open()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        for client in list(self._clients):
            self._dismiss(client)
        if self._rest is not None:
            self._rest.cancel()
            self._rest.join()
        if self._listener is not None:
            with contextlib.suppress(KeyError):  # nobody is accepted at the moment
                self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                if is_at(self._file, self._path):
                    self._path.unlink()

    def _bound(self) -> socket.socket:
        """Return a socket that listens at the path; raise OSError if there cannot be one."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._path.unlink(missing_ok=True)
            listener.bind(str(self._path))
            self._path.chmod(0o660)
            self._file = self._path.lstat()
            listener.listen(_CLIENTS)
        except OSError:
            listener.close()
            raise
        return listener

    def _report(self, problem: str) -> None:
        """Log once why it cannot be opened, however often that is tried."""
        if problem != self._problem:
            self._problem = problem
            _log.warning(
                "%s: the control socket cannot be opened (%s), so `serenbox pause`, `resume` and "
                "`status` will not work",
                self._path,
                problem,
            )

    def _listen(self) -> None:
        """Accept clients from now on; another thread may be waiting for the selector meanwhile."""
        assert self._listener is not None  # noqa: S101 - for the type checker
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - for the type checker
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # the client is gone already
            return
        except OSError as error:  # too many open files, no memory
            _log.debug("no client can be let in: %s", error)
            # It would stay readable, so that the selector would never wait.
            self._selector.unregister(self._listener)
            self._rest = threading.Timer(_REST, self._listen)
            self._rest.start()
            return
        client.settimeout(0)
        if len(self._clients) >= _CLIENTS:
            self._dismiss(next(iter(self._clients)))
        self._clients[client] = None
        self._selector.register(client, selectors.EVENT_READ, lambda: self._serve(client))

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client is gone
            request = client.recv(_LONGEST_REQUEST).decode(errors="replace").strip()
            if request:
                client.send(json.dumps(self._answer(request)).encode())
        self._dismiss(client)

    def _dismiss(self, client: socket.socket) -> None:
        if client in self._clients:
            del self._clients[client]
            self._selector.unregister(client)
            client.close()


def ask_service(
    request: str, paths: Sequence[Path] | None = None, timeout: float = 5.0
) -> dict[str, Any]:
    """Send a request to the running service and return its answer.

    Args:
        request: A request that the service knows, such as `status`.
        paths: Where it may listen, instead of `socket_candidates`; the first that answers is
            used.
        timeout: Seconds to wait for the answer.

    Raises:
        NoServiceError: No service runs.
        ServiceError: Access is denied, or the service does not answer, or refuses.

    """
    paths = socket_candidates() if paths is None else paths
    for path in paths:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(timeout)
            try:
                _connect(connection, path, timeout)
                connection.send(request.encode())
                answer = connection.recv(_LONGEST_ANSWER)
            except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
                continue
            except PermissionError as error:
                raise ServiceError(
                    f"you may not talk to the service at {path}: use sudo"
                ) from error
            except OSError as error:
                reason = "it took too long" if isinstance(error, TimeoutError) else reason_of(error)
                raise ServiceError(
                    f"the service at {path} does not answer ({reason}): see its log with "
                    "`journalctl -u serenbox`, and restart it if it hangs"
                ) from error
            return _read_answer(answer, path)
    places = " and ".join(str(path) for path in paths)
    raise NoServiceError(f"no serenbox service is running (looked at {places}): {_START}")


def _connect(connection: socket.socket, path: Path, timeout: float) -> None:
    """Connect, retrying while the queue is full: Linux then refuses at once instead of waiting.

    Raises:
        OSError: Nobody listens, or the queue stays full for too long.

    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_QUEUEING)
        else:
            return


def _read_answer(answer: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServiceError(
            f"what answers at {path} is not a serenbox service, or is ending: try again"
        )
    if "error" in found:
        raise ServiceError(str(found["error"]))
    return found

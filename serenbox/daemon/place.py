"""The service's place in its runtime folder: the lock that it holds, and its control socket."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from serenbox.daemon.control import ControlServer
from serenbox.daemon.lock import ServiceLock, TakenError
from serenbox.daemon.paths import make_runtime_folder
from serenbox.errors import ServiceError

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    from serenbox.daemon.paths import Paths

_log = logging.getLogger("serenbox.service")


class Place:
    """What makes a service the only one, and reachable. A context manager that gives it up.

    Args:
        paths: Where the service keeps its files.

    Raises:
        TakenError: Another service holds the lock.
        ServiceError: The runtime folder cannot be used.

    """

    def __init__(self, paths: Paths) -> None:
        make_runtime_folder(paths.runtime)
        self.paths = paths
        """Where the service keeps its files."""
        self._lock = ServiceLock(paths.lock)
        self._control: ControlServer | None = None
        self._problem: str | None = None

    def open(
        self, selector: selectors.BaseSelector, answer: Callable[[str], dict[str, Any]]
    ) -> None:
        """Open the control socket; see `ControlServer`."""
        self._control = ControlServer(self.paths.socket, selector, answer)
        self._control.open()

    def keep(self) -> None:
        """Make anew what somebody has removed, such as a program that cleans up old files.

        Raises:
            TakenError: Another service has taken this place.

        """
        try:
            make_runtime_folder(self.paths.runtime)
            self._lock.renew()
        except TakenError:
            raise
        except ServiceError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("nobody can pause this service or ask for its status: %s", error)
            return
        self._problem = None
        if self._control is not None:
            self._control.renew()

    def close(self) -> None:
        """Close the control socket; the lock is kept."""
        if self._control is not None:
            self._control.close()

    def __enter__(self) -> Self:
        """Return the place, which is held already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it up."""
        self.close()
        self._lock.release()

"""The output that is a web page. Light to import: Flask and h11 are imported when it starts."""

from __future__ import annotations

import importlib.util
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from serenbox.addresses import host_and_port
from serenbox.errors import SettingsError, reason_of
from serenbox.installed import how_to_install
from serenbox.outputs.queueing import Mailbox
from serenbox.waker import Waker
from serenbox.web.access import Access
from serenbox.web.wsgi import EVENTS, PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serenbox.outputs.base import Output
    from serenbox.outputs.tap import Tap
    from serenbox.settings.schema import Settings, WebSettings
    from serenbox.web.site import Site

_log = logging.getLogger("serenbox.web")

PACKAGES = ("flask", "h11", "prometheus_client")
"""Packages that the page needs but SerenBox itself does not."""

_FIRST = 10.0
"""Maximum seconds to wait for a first message before the page starts: sensing comes first."""

_WAITING = 64
"""Maximum connections that the system queues until they are accepted."""

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognized, not opened
"""What `web.host` is where the page is open at all addresses; no browser opens these."""

_AGAIN = 5.0
"""Seconds between attempts to listen, for example while the port is taken."""


class WebOutput:
    """Serves the page from a thread of its own.

    Args:
        settings: The whole configuration.
        commands: Called with `pause` or `resume`, with `report` to receive statistics soon, and
            with `stats` to have them sent to all outputs.
        others: The other outputs, whose health the page shows.
        tap: Where the live preview gets frames; None for no preview.

    Raises:
        SettingsError: The token is invalid, the page would be open to others without one, or a
            package is missing.

    """

    name = "web"

    def __init__(
        self,
        settings: Settings,
        commands: Callable[[str], None],
        others: Sequence[Output] = (),
        tap: Tap | None = None,
    ) -> None:
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise SettingsError(
                f"web.enabled is true, but not all it needs is installed ({', '.join(missing)} "
                f"missing): {how_to_install('web')}, or set web.enabled to false"
            )
        self._settings = settings
        self._access = Access.of(settings.web)
        self._commands = commands
        self._others = tuple(others)
        self._tap = tap if settings.web.preview else None
        self._waker = Waker()
        self._mailbox = Mailbox(self._waker.wake)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._closing = False
        self._site: Site | None = None
        self._problem: str | None = None

    def start(self) -> None:
        """Begin, once there is something to show."""
        self._mailbox.open()
        self._thread.start()

    def mood(self, message: Mapping[str, Any]) -> None:
        """Show the state."""
        self._mailbox.put("mood", message)

    def event(self, message: Mapping[str, Any]) -> None:
        """Count the change."""
        self._mailbox.put("event", message)

    def stats(self, message: Mapping[str, Any]) -> None:
        """Show how the box is doing."""
        self._mailbox.put("stats", message)

    def close(self, timeout: float) -> None:
        """Hang up on all visitors and stop.

        Args:
            timeout: Seconds.

        """
        self._mailbox.shut()
        self._closing = True
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive():
            self._waker.close()

    def health(self) -> dict[str, Any]:
        """Return whether the page is up, how many messages it took, and how many viewers it has."""
        site = self._site
        return {
            "connected": site is not None,
            "published": site.published if site else 0,
            "dropped": self._mailbox.dropped,
            "streams": site.server.streams[EVENTS] if site else 0,
            "previews": site.server.streams[PICTURES] if site else 0,
            "problem": self._problem,
        }

    def _run(self) -> None:
        try:
            self._wait_for_message()
            listener = self._listen()
            if listener is not None:
                self._serve(listener)
        except Exception as error:  # noqa: BLE001 - the page ends, but sensing goes on
            self._report(
                f"the web page has failed ({type(error).__name__}: {error}): a bug in "
                "SerenBox, please report it; restart the service to get it back"
            )
        finally:
            self._mailbox.shut()

    def _wait_for_message(self) -> None:
        """Wait, to leave the processor to what has to be done until the box senses."""
        import select

        poll = select.poll()
        poll.register(self._waker.fileno(), select.POLLIN)
        poll.poll(_FIRST * 1e3)

    def _listen(self) -> socket.socket | None:
        """Return the listening socket; None if the output is closed before it can be opened."""
        web = self._settings.web
        while not self._closing:
            try:
                return _open(web.host, web.port)
            except (OSError, UnicodeError) as error:
                reason = reason_of(error)
                self._report(
                    f"the web page cannot be opened at {web.host} port {web.port} ({reason}): set "
                    "web.host to an address of this machine and web.port to a free port, not below "
                    "1024, where only root may; trying again"
                )
            deadline = time.monotonic() + _AGAIN
            while not self._closing and time.monotonic() < deadline:
                time.sleep(0.2)
        return None

    def _serve(self, listener: socket.socket) -> None:
        from serenbox.web.site import Site

        site = Site(
            self._settings,
            self._access,
            listener,
            self._mailbox,
            self._waker,
            commands=self._commands,
            others=self._others,
            tap=self._tap,
        )
        self._site, self._problem = site, None
        _log.info("the web page is at %s", _where(self._settings.web))
        try:
            while not self._closing:
                site.turn()
        finally:
            self._site = None
            site.close()

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            _log.warning("%s", problem)


def _where(web: WebSettings) -> str:
    """Return in words where a browser finds the page."""
    if web.host not in _EVERYWHERE:
        return f"http://{host_and_port(web.host, web.port)}/"
    name = socket.gethostname().lower()
    name = name if "." in name else f"{name}.local"
    return f"http://{name}:{web.port}/, and at port {web.port} of every address of this machine"


def _open(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: The address is not one of this machine, or the port is taken.
        UnicodeError: The host name is impossible.

    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_WAITING)
        listener.setblocking(False)  # noqa: FBT003 - takes no keyword
    except OSError:
        listener.close()
        raise
    return listener

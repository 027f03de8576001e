"""The page while it is up: messages go in, events go out to its viewers."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from serenbox.web.access import Access  # noqa: TC001
from serenbox.web.app import Actions, make_app
from serenbox.web.board import Board
from serenbox.web.metrics import exposition
from serenbox.web.preview import LIMIT, VIEWERS, Preview
from serenbox.web.server import Server
from serenbox.web.streams import SIGN_OF_LIFE, chunk, event
from serenbox.web.wsgi import EVENTS, PICTURES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from serenbox.outputs.base import Output
    from serenbox.outputs.queueing import Mailbox
    from serenbox.outputs.tap import Tap
    from serenbox.settings.schema import Settings
    from serenbox.waker import Waker
    from serenbox.web.connection import Connection

_log = logging.getLogger("serenbox.web")

_TICK = 1.0
"""Seconds between two checks of what is due, while there are visitors."""

_REPORT = 2.0
"""Seconds between reports of the box's health while somebody watches."""

_SELDOM = 10.0
"""Seconds between reports while nobody watches: somebody may ask just once."""

_LIFE = 15.0
"""Seconds between signs of life to viewers."""


class Site:
    """The whole page; to be used by one thread.

    Args:
        settings: The whole configuration.
        access: Who may use the page.
        listener: The listening socket.
        mailbox: Where messages come from.
        waker: Readable when there is one.
        commands: As for `WebOutput`.
        others: The other outputs.
        tap: Where the live preview gets frames; None if nobody may watch.

    """

    def __init__(
        self,
        settings: Settings,
        access: Access,
        listener: socket.socket,
        mailbox: Mailbox,
        waker: Waker,
        *,
        commands: Callable[[str], None],
        others: Sequence[Output],
        tap: Tap | None,
    ) -> None:
        self._mailbox = mailbox
        self._waker = waker
        self._commands = commands
        self._preview = Preview(tap, waker.wake) if tap else None
        self._board = Board(settings.device.name, others, preview_allowed=tap is not None)
        actions = Actions(
            commands,
            lambda: self._request_report(_REPORT),
            exposition(self._board, lambda: self.server),
        )
        self.server = Server(
            listener,
            make_app(self._board, access, actions),
            limits={EVENTS: settings.web.streams, PICTURES: VIEWERS},
            welcome=self._welcome,
        )
        self.server.watch(waker)
        self.published = 0
        """Number of messages taken."""
        self._tick_at = 0.0
        self._reported = -math.inf
        self._life_at = 0.0
        self._request_report()  # after a reload the next statistics may be far away

    def turn(self) -> None:
        """Do once what there is to do, waiting for it if necessary."""
        self.server.serve(_TICK if self.server.visited else None)
        self._waker.clear()
        self._take_messages()
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + _TICK
            self._tick(now)
        if self._preview:
            self._follow(self._preview)

    def close(self) -> None:
        """Hang up on everybody."""
        if self._preview:
            self._preview.turn_off()
        self.server.close()

    def _take_messages(self) -> None:
        told: dict[str, Mapping[str, object]] = {}
        while (taken := self._mailbox.take()) is not None:
            kind, message = taken
            self._board.take(kind, message)
            self.published += 1
            told[kind] = message
        if self._board.mood["state"] != "sensing":
            self._end_previews()
        if "event" in told:
            self._request_report()  # it says why a camera was lost
        elif "mood" in told:
            self._request_report(_SELDOM)
        if not self.server.streams[EVENTS]:
            return
        if "mood" in told:
            self.server.push(EVENTS, "mood", event("mood", told["mood"]))
        if "stats" in told or "event" in told:
            self._push_health()

    def _tick(self, now: float) -> None:
        self.server.tidy()
        self._end_previews(begun_before=now - LIMIT)
        if not self.server.streams[EVENTS]:
            return
        self._request_report(_REPORT)
        if now >= self._life_at:
            self._life_at = now + _LIFE
            self.server.push(EVENTS, "life", SIGN_OF_LIFE)

    def _request_report(self, rest: float = 0.0) -> None:
        """Ask the daemon how the box is doing, unless that was done in the last `rest` seconds."""
        now = time.monotonic()
        if now - self._reported >= rest:
            self._reported = now
            self._commands("report")

    def _push_health(self) -> None:
        self.server.push(EVENTS, "health", event("health", self._board.health()))

    def _follow(self, preview: Preview) -> None:
        """Take frames while somebody watches, show them, and report how many watch."""
        if self._board.previews and not preview.on:  # the camera is being closed
            self._end_previews()
        watching = self.server.streams[PICTURES]
        if watching and not preview.on:
            preview.turn_on()
        elif preview.on and not watching:
            preview.turn_off()
        if (picture := preview.picture()) is not None:
            self.server.push(PICTURES, "picture", picture)
        if watching != self._board.previews:
            places = sorted({viewer.address for viewer in self.server.viewers(PICTURES)})
            told = f"watched from {', '.join(places)}" if places else "ended"
            _log.info("live preview: %s", told)
            self._board.previews = watching
            self._push_health()
            self._commands("stats")

    def _end_previews(self, *, begun_before: float = float("inf")) -> None:
        if self.server.streams[PICTURES]:
            for viewer in self.server.viewers(PICTURES):
                if viewer.began < begun_before:
                    self.server.finish(viewer)

    def _welcome(self, viewer: Connection, stream: str) -> None:
        if stream != EVENTS:
            return
        for kind, message in (("mood", self._board.mood), ("health", self._board.health())):
            data = event(kind, message)
            viewer.push(kind, data, chunk(data))
        self._request_report()

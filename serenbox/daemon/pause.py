"""The camera is closed for as long as somebody wants that, also after a restart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenbox.daemon.capture import Capture
    from serenbox.daemon.state import PausedFlag
    from serenbox.outputs.tap import Tap

_log = logging.getLogger("serenbox.service")


class Pause:
    """Closes and opens the camera on request, and remembers the request. For the main thread.

    Args:
        flag: Where it is remembered.
        capture: The camera.
        tap: Where the live preview branches off, which ends with a pause.

    """

    def __init__(self, flag: PausedFlag, capture: Capture, tap: Tap) -> None:
        self._flag = flag
        self._capture = capture
        self._tap = tap

    @property
    def wanted(self) -> bool:
        """Whether the camera is closed, or about to be."""
        return self._capture.paused

    @property
    def problem(self) -> str | None:
        """See `PausedFlag.problem`."""
        return self._flag.problem

    def want(self, *, paused: bool) -> bool:
        """Close or open the camera; return whether that will survive a restart."""
        if paused != self.wanted:
            if paused:
                self._capture.pause()
                self._tap.cut()
                _log.info("paused: the camera is being closed")
            else:
                self._capture.resume()
                _log.info("resumed: the camera is being opened")
        return self._flag.write(paused=paused)  # also if nothing changed: it may have failed before

    def keep(self) -> None:
        """Remember a pause again, in case that failed or somebody has removed the flag."""
        if self.problem or self.wanted:
            self._flag.write(paused=self.wanted)

    def remember_for_next_start(self, *, paused: bool) -> None:
        """Remember a request that came too late to be obeyed."""
        if self._flag.write(paused=paused):
            name = "paused" if paused else "resumed"
            _log.info("%s while ending: so it will be after the next start", name)

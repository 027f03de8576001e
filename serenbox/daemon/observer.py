"""What the service does with each frame."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from serenbox.daemon.darkness import Darkness
from serenbox.daemon.stats import FrameStats
from serenbox.errors import ServiceError
from serenbox.outputs.tap import Tap

if TYPE_CHECKING:
    from serenbox.cameras.base import Frame
    from serenbox.daemon.announcer import Announcer
    from serenbox.daemon.capture import Captured
    from serenbox.daemon.pipeline import Pipeline

_log = logging.getLogger("serenbox.observer")

_BAD_FRAMES = 10
"""Frames in a row that the models must fail on for the service to end, to be restarted."""


class Observer:
    """Looks at frames and announces what they show.

    Args:
        pipeline: Turns frames into moods; may be replaced between two frames.
        announcer: Announces the moods.
        tap: Where frames branch off for the live preview.

    """

    def __init__(self, pipeline: Pipeline, announcer: Announcer, tap: Tap | None = None) -> None:
        self.pipeline = pipeline
        self.stats = FrameStats()
        """Statistics of the frames looked at."""
        self.last_frame = time.monotonic()
        """When the last frame came; before the first one, when the observer was created."""
        self._announcer = announcer
        self._tap = tap or Tap()
        self._darkness = Darkness()
        self._opening = 0
        self._bad_frames = 0

    def take(self, captured: Captured) -> bool:
        """Look at a frame; return False if the models failed on it, else True.

        Raises:
            ServiceError: The models failed too often in a row.

        """
        frame, taken = captured.frame, time.monotonic()
        self.last_frame = taken
        if captured.opening != self._opening:
            self._opening = captured.opening
            self.pipeline.forget()
        if self._tap.watcher is not None:
            self._tap.pass_on(frame.image)
        self._watch_for_darkness(frame)
        try:
            look = self.pipeline.look(frame)
        except Exception as error:  # noqa: BLE001 - whatever a model does, the service goes on
            self._count_bad_frame(error)
            return False
        if self._bad_frames:
            _log.info("the models work again, after %d bad frames", self._bad_frames)
            self._bad_frames = 0
        self._announcer.sensed(look.mood, look.faces, frame.time - look.mood.since)
        done = time.monotonic()
        seconds = {"capture": taken - captured.arrived, **look.seconds}
        if look.seconds:
            seconds["total"] = done - captured.arrived
        self.stats.add(done, seconds)
        return True

    def _watch_for_darkness(self, frame: Frame) -> None:
        black = self._darkness.change(frame)
        if black:
            _log.warning("the picture is black: is the lens covered, or the room dark?")
        elif black is not None:
            _log.info("the picture is no longer black")

    def _count_bad_frame(self, error: Exception) -> None:
        self._bad_frames += 1
        reason = f"{type(error).__name__}: {error}"
        if self._bad_frames >= _BAD_FRAMES:
            raise ServiceError(
                f"the models failed on {self._bad_frames} frames in a row ({reason}): see whether "
                "`serenbox check` finds fault with them"
            ) from error
        if self._bad_frames == 1:
            _log.warning("a frame is left out, because the models failed on it (%s)", reason)
            _log.debug("the models failed", exc_info=error)

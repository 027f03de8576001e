"""Logs that a camera is lost or comes back, but not without end."""

from __future__ import annotations

import logging
import time

from serenbox.daemon.recovery import STEADY, Recovery

_log = logging.getLogger("serenbox.capture")

_TOLD = 3
"""Losses of the camera in quick succession that are logged one by one."""


class LossLog:
    """Logs losses of the camera; after a few in quick succession, it is quiet. For one thread."""

    def __init__(self) -> None:
        self._lost_at = 0.0
        self._losses = 0  # since frames last came steadily

    def lost(self, problem: str, recovery: Recovery) -> None:
        """Log that the camera is lost; until now it was not."""
        self._lost_at = time.monotonic()
        self._losses = 1 if recovery.relapses <= 1 else self._losses + 1
        level = logging.WARNING if self._losses <= _TOLD else logging.DEBUG
        _log.log(level, "%s; trying again, up to %d times", problem, recovery.reopens)
        if self._losses == _TOLD:
            _log.warning(
                "the camera comes and goes: check its cable and its power supply; no more is "
                "logged about it until frames have come for %.0f s",
                STEADY,
            )

    def still_lost(self, problem: str, recovery: Recovery) -> None:
        """Log that another attempt has failed."""
        _log.debug("camera, attempt %d: %s", recovery.failures, problem)

    def back(self, camera: str) -> None:
        """Log that a lost camera gives frames again."""
        seconds = time.monotonic() - self._lost_at
        level = logging.INFO if self._losses <= _TOLD else logging.DEBUG
        _log.log(level, "%s gives frames again after %.1f s", camera, seconds)

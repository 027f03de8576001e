"""The commands that the box accepts over MQTT, and how it treats anything else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from serenbox.outputs.queueing import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("serenbox.outputs")

_LONGEST = 64
"""Bytes; anything longer is not a command."""

_COMMANDS = {b"pause": "pause", b"resume": "resume"}


def parse_command(payload: bytes) -> str | None:
    """Return `pause` or `resume`, or None for anything else.

    Args:
        payload: What somebody published; letter case and surrounding whitespace do not matter.

    """
    if len(payload) > _LONGEST:
        return None
    return _COMMANDS.get(payload.strip().lower())


class CommandReader:
    """Passes on commands, and counts anything else, which is logged at most once a minute.

    Args:
        act: Called with `pause` or `resume`.

    """

    def __init__(self, act: Callable[[str], None]) -> None:
        self._act = act
        self._limit = RateLimit(60.0)
        self.ignored = 0

    def receive(self, payload: bytes, *, retained: bool) -> None:
        """Handle a message.

        Args:
            payload: The message.
            retained: Whether the broker had kept it. Such a command is ignored: it was meant for
                another time, and would be obeyed again on every connection.

        """
        command = None if retained else parse_command(payload)
        if command is not None:
            self._act(command)
            return
        self.ignored += 1
        count = self._limit.pass_on()
        if count:
            _log.warning(
                "ignored %d MQTT message%s on the command topic, the last one %r%s: it takes pause "
                "and resume, not retained",
                count,
                "" if count == 1 else "s",
                payload[:32].decode("utf-8", "backslashreplace"),
                " (retained)" if retained else "",
            )

"""What the topic of the diffuser is told, and when. Pure: time comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serenbox.outputs.messages import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Mapping

_OFTEN = HEARTBEAT / 2
"""Seconds from which an unchanged slot is published again with the next mood. Moods come once a
minute at least, so whoever listens hears of it every minute and a half at least."""

OFF = "off"


class SlotTopic:
    """Follows the moods and tells what to publish under `Topics.slot`."""

    def __init__(self) -> None:
        self._slot = OFF
        self._told = OFF
        self._told_at = 0.0

    def again(self, now: float) -> str:
        """Return what a new connection is to be told, whatever was told before."""
        self._told, self._told_at = self._slot, now
        return self._slot

    def news(self, mood: Mapping[str, Any], now: float) -> str | None:
        """Return what to publish after a mood; None where there is no need.

        Args:
            mood: The message.
            now: Seconds.

        """
        self.take(mood)
        old = now - self._told_at >= _OFTEN
        return self.again(now) if old or self._slot != self._told else None

    def take(self, mood: Mapping[str, Any]) -> None:
        """Take note of a mood that is not being published now."""
        self._slot = mood.get("slot", OFF)

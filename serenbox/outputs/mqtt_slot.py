"""What is published on the diffuser's topic, and when. Pure: times are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serenbox.outputs.messages import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Mapping

_OFTEN = HEARTBEAT / 2
"""Seconds after which an unchanged slot is published again with the next mood. Moods come at least
once a minute, so the slot is published at least every minute and a half."""

OFF = "off"


class SlotTopic:
    """Follows the moods and decides what to publish under `Topics.slot`."""

    def __init__(self) -> None:
        self._slot = OFF
        self._told = OFF
        self._told_at = 0.0

    def again(self, now: float) -> str:
        """Return the slot to publish, whatever was published before."""
        self._told, self._told_at = self._slot, now
        return self._slot

    def news(self, mood: Mapping[str, Any], now: float) -> str | None:
        """Return what to publish after a mood; None if there is no need.

        Args:
            mood: The mood message.
            now: Seconds on a monotonic clock.

        """
        self.take(mood)
        old = now - self._told_at >= _OFTEN
        return self.again(now) if old or self._slot != self._told else None

    def take(self, mood: Mapping[str, Any]) -> None:
        """Remember the slot in a mood message."""
        self._slot = mood.get("slot", OFF)

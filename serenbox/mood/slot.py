"""Which of a diffuser's two oils is on, from the moods over time. Pure: no clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from serenbox.settings.schema import DiffuserSettings, Slot, Wish


class SlotRule:
    """Follows the mood, slowly enough for a device that people hear and smell.

    Each mood wishes for `A`, `B` or `off`, or to `keep` the slot as it is. A wish is granted when
    moods have had it without a break for `dwell` seconds, or `off_after` for `off`, and the oil
    that is on has been on for `minimum_on` seconds. `off` because of `paused` is granted at once:
    somebody asked for it. The slot starts as `off`.

    Args:
        settings: What each mood wishes for, and the times.

    """

    def __init__(self, settings: DiffuserSettings) -> None:
        self._settings = settings
        self._wish: Slot = "off"
        self._wished = -math.inf
        self._at_once = False
        self._changed = -math.inf
        self.slot: Slot = "off"
        """What is on after the last `update`."""

    @property
    def due(self) -> float:
        """When the slot changes if the mood stays as it is, seconds; infinity if it does not."""
        if self._wish == self.slot:
            return math.inf
        if self._at_once:
            return self._wished
        settings = self._settings
        granted = self._wished + (settings.off_after if self._wish == "off" else settings.dwell)
        return granted if self.slot == "off" else max(granted, self._changed + settings.minimum_on)

    def update(self, time: float, mood: str) -> Slot:
        """Return what is on.

        Args:
            time: Seconds on a clock that never jumps, never less than before. Call this at every
                change of mood, and at `due`; nothing changes in between.
            mood: The mood from now on, one of `serenbox.outputs.messages.MOOD_LABELS`.

        """
        asked = cast("Wish", getattr(self._settings, mood))
        wish = self.slot if asked == "keep" else asked
        at_once = mood == "paused" and wish == "off"
        if wish != self._wish or at_once != self._at_once:
            self._wish, self._wished, self._at_once = wish, time, at_once
        if self.due <= time:
            self.slot = self._wish
            self._changed = time  # not `due`: nobody was told before now
        return self.slot

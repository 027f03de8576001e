"""What the outputs are told, and when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from serenbox.outputs.messages import HEARTBEAT, State, event_message, mood_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serenbox.mood.slot import SlotRule
    from serenbox.mood.types import Mood, TrackedFace
    from serenbox.outputs.base import Output

_SHORTEST = 1.0
"""Minimum seconds between two messages about the same mood; its scores change with every frame."""

_JUMP = 0.5
"""If the two clocks drift apart by more than this many seconds, the wall clock has been set."""


class Announcer:
    """Sends every output the mood: changes at once, new scores once a second, else a heartbeat.

    Args:
        device: The name of the box.
        outputs: The outputs to send to.
        rule: Decides what the diffuser does; None without a diffuser.
        clock: Returns seconds; never jumps.
        wall: Returns seconds since 1970; may be set at any moment.

    """

    def __init__(
        self,
        device: str,
        outputs: Sequence[Output],
        rule: SlotRule | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._device = device
        self._outputs = outputs
        self._rule = rule
        self._clock = clock
        self._wall = wall
        self.state: State = "no_camera"
        """What the box is doing. Starts without a camera; a change to anything else is an event."""
        self.label = "no_camera"
        """The `mood` of the last message."""
        self._mood: Mood | None = None
        self._faces: Sequence[TrackedFace] = ()
        self._problem: str | None = None
        self._began = clock()
        self._wall_began: float | None = None
        self._told_at: float | None = None
        self._told: tuple[Mood | TrackedFace | None, ...] = ()

    @property
    def due(self) -> float:
        """When to send the mood again, seconds on the clock; infinity before the first message.

        That is one heartbeat after the last message, or earlier if only the passing of time
        changes the diffuser's slot.
        """
        if self._told_at is None:
            return float("inf")
        repeated = self._told_at + HEARTBEAT
        return min(repeated, self._rule.due) if self._rule else repeated

    @property
    def confidence(self) -> float:
        """Confidence of the mood, 0 to 1; 0 without a mood."""
        return self._mood.confidence if self._mood else 0.0

    def sensed(self, mood: Mood, faces: Sequence[TrackedFace], age: float) -> None:
        """Announce what a frame showed.

        Args:
            mood: The mood after it.
            faces: All faces in it.
            age: Seconds since the mood began, on the frames' clock.

        """
        self._mood, self._faces, self._problem = mood, faces, None
        if self.state != "sensing" or mood.label != self.label:
            self._change("sensing", mood.label, age)
        elif (mood, *faces) != self._told and self._rested:
            self.repeat()

    def became(self, state: State, problem: str | None = None) -> None:
        """Announce that nothing is being sensed.

        Args:
            state: Why.
            problem: One sentence on why the camera failed, or why a pause is not remembered; a
                later wording of the same problem is not sent. None if all is well, or if the
                camera is now a different one.

        """
        self._mood, self._faces = None, ()
        news = (problem is None) != (self._problem is None)
        if news or state != self.state:
            self._problem = problem
        if state != self.state:
            self._change(state, state, 0.0)
        elif news or self._told_at is None:
            self.repeat()

    def repeat(self) -> None:
        """Send the current mood again."""
        self._tell_mood(self._message())

    def tell(self, stats: dict[str, Any], to: str | None = None) -> None:
        """Send the statistics to every output, or only to the one named `to`."""
        for output in self._outputs:
            if to in {None, output.name}:
                output.stats(stats)

    def renew(self, device: str, outputs: Sequence[Output], rule: SlotRule | None = None) -> None:
        """Replace name, outputs and rule, and repeat the mood if it has been sent before."""
        self._device, self._outputs, self._rule = device, outputs, rule
        if self._told_at is not None:
            self.repeat()

    def health(self) -> dict[str, dict[str, Any]]:
        """Return each output's health by its name."""
        return {output.name: output.health() for output in self._outputs}

    @property
    def _rested(self) -> bool:
        return self._told_at is None or self._clock() - self._told_at >= _SHORTEST

    def _change(self, state: State, label: str, age: float) -> None:
        previous, self.state, self.label = self.label, state, label
        self._began, self._wall_began = self._clock() - age, None
        message = self._message()
        self._tell_mood(message)
        event = event_message(message, previous)
        for output in self._outputs:
            output.event(event)

    def _tell_mood(self, message: dict[str, Any]) -> None:
        self._told_at = self._clock()
        self._told = (self._mood, *self._faces)
        for output in self._outputs:
            output.mood(message)

    def _message(self) -> dict[str, Any]:
        wall, age = self._wall(), self._clock() - self._began
        # The two clocks are read one after the other: without this, `since` would differ by a
        # millisecond from message to message.
        if self._wall_began is None or abs(wall - age - self._wall_began) > _JUMP:
            self._wall_began = wall - age
        return mood_message(
            self._device,
            wall,
            self.state,
            self._mood,
            wall - self._wall_began,
            self._faces,
            problem=self._problem,
            slot=self._rule.update(self._clock(), self.label) if self._rule else None,
        )

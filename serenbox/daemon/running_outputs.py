"""The outputs of a running service: started, exchanged when settings change, and closed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from serenbox.outputs.select import make_outputs, told_alike, unchanged_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from serenbox.history.output import HistoryOutput
    from serenbox.outputs.base import Output
    from serenbox.outputs.mqtt import MqttOutput
    from serenbox.outputs.tap import Tap
    from serenbox.settings.schema import Settings


class RunningOutputs:
    """The outputs that the settings ask for. Used by the main thread only.

    Args:
        settings: The whole configuration.
        command: See `serenbox.outputs.select.make_outputs`, also for the next two.
        history: The database of the history.
        tap: Where frames branch off for the live preview.

    Raises:
        SettingsError: The outputs cannot be made as the settings say.

    """

    def __init__(
        self, settings: Settings, command: Callable[[str], None], history: Path, tap: Tap
    ) -> None:
        self._command = command
        self._history = history
        self._tap = tap
        self.all = self._make(settings)
        """In the order in which they get messages."""

    def start(self) -> None:
        """Start them all."""
        for output in self.all:
            output.start()

    def prepare(self, old: Settings, new: Settings) -> list[Output]:
        """Return the outputs for new settings, for `exchange`; those that need not change stay.

        Raises:
            SettingsError: They cannot be made as the settings say; the running ones go on.

        """
        if told_alike(old, new):
            return self.all
        return self._make(new, unchanged_outputs(self.all, old, new))

    def exchange(
        self, outputs: list[Output], timeout: float, tell_mood: Callable[[], None]
    ) -> None:
        """Close the outputs that are no longer wanted, and start the new ones.

        Args:
            outputs: What `prepare` returned.
            timeout: Seconds that each one gets to close.
            tell_mood: Tells these outputs the current mood.

        """
        before, self.all = self.all, outputs
        closing = [output for output in before if output not in outputs]
        kept = {each: text for new in _mqtt(outputs) for each, text in new.retained.items()}
        for mqtt in _mqtt(closing):
            mqtt.give_up(kept)
        _close(closing, timeout)
        fresh = [output for output in outputs if output not in before]
        for output in fresh:
            if output.name != "mqtt":
                output.start()
        tell_mood()
        # Only now: what a broker retained earlier must not pass for current once it says `online`.
        for mqtt in _mqtt(fresh):
            mqtt.start()

    def close(self, timeout: float) -> None:
        """Close them all; each gets `timeout` seconds for that."""
        _close(self.all, timeout)

    def delete_history(self) -> dict[str, Any]:
        """Start deleting the history.

        Returns:
            `file`, the database, or None if no history is kept; and `deletions`, what the health
            of the history's output will show under that name once it is deleted.

        """
        for output in self.all:
            if output.name == "history":
                deletions = cast("HistoryOutput", output).delete()
                return {"file": str(self._history), "deletions": deletions}
        return {"file": None}

    def _make(
        self, settings: Settings, running: Mapping[str, Output] | None = None
    ) -> list[Output]:
        return make_outputs(settings, self._command, running, history=self._history, tap=self._tap)


def _mqtt(outputs: Sequence[Output]) -> list[MqttOutput]:
    return [cast("MqttOutput", output) for output in outputs if output.name == "mqtt"]


def _close(outputs: Sequence[Output], timeout: float) -> None:
    """Close outputs at the same time, so that slow ones do not add up."""
    farewells = [
        threading.Thread(target=output.close, args=(timeout,), name=f"closing {output.name}")
        for output in outputs
    ]
    for farewell in farewells:
        farewell.start()
    for farewell in farewells:
        farewell.join()

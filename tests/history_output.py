"""A history output with clocks that a test sets, and real files."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from serenbox.history.output import HistoryOutput
from serenbox.history.reading import read_summaries
from serenbox.outputs.messages import mood_message
from serenbox.settings.schema import HistorySettings
from tests.daemon_process import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = 29_000_000
DAY = 24 * 60


def message(label: str) -> dict[str, Any]:
    made = mood_message("box", 0.0, "sensing", None, 0.0)
    return {**made, "mood": label, "scores": {"happy": 0.9}}


class Clocks:
    """A clock that never jumps, and one that does."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ahead = FIRST * 60 - self.now

    def wall(self) -> float:
        return self.now + self.ahead


class History:
    """An output, and what gives it moods."""

    def __init__(self, path: Path, days: int = 30) -> None:
        self.path = path
        self.clocks = Clocks()
        self.synchronized = path.with_name("synchronized")
        self.output = self._make(days)

    def _make(self, days: int) -> HistoryOutput:
        clocks = self.clocks
        settings = HistorySettings(enabled=True, days=days)
        made = HistoryOutput(
            settings,
            self.path,
            clock=lambda: clocks.now,
            wall=clocks.wall,
            synchronized=self.synchronized,
        )
        made.start()
        return made

    def restart(self, days: int = 30) -> None:
        """Close the output and start another one with the same clocks."""
        self.output.close(30)
        self.output = self._make(days)

    def live(self, minutes: float, label: str = "happy") -> None:
        """Give the output this mood every ten seconds for so many minutes."""
        for _ in range(round(minutes * 6)):
            self.output.mood(message(label))
            self.clocks.now += 10
        self.output.mood(message(label))

    def wait_written(self, minutes: int) -> None:
        """Wait until the output has written so many minutes since its start."""
        wait_for(lambda: self.output.health()["published"] >= minutes, f"{minutes} minutes")

    def wait_pruned(self) -> None:
        """Wait until the output has removed what is too old, if anything is."""
        wait_for(lambda: not self.output._prunable, "the end of pruning")

    def live_after(self, hours: float, minutes: int, written: int) -> None:
        """Let hours pass, then live; return when so many minutes since the start are written.

        Pruning has ended then, too.
        """
        self.clocks.now += 3600 * hours
        self.live(minutes)
        self.wait_written(written)
        self.wait_pruned()

    def kept(self) -> dict[int, float]:
        """Return how many seconds of each minute are known, counted from `FIRST`."""
        return {one.minute - FIRST: one.known for one in read_summaries(self.path, 0, 1 << 40)}


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

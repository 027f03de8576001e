"""Logs what a hook prints, limiting the number of lines and their length."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from serenbox.outputs.queueing import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("serenbox.hooks")

LINES = 30
"""Maximum lines of one hook that are logged within `WINDOW`; the others are counted."""

WINDOW = 60.0
"""Seconds."""

LENGTH = 300
"""Maximum bytes of a line that are logged."""


class LineLog:
    """Logs output line by line. The log itself escapes whatever makes a line dangerous.

    Args:
        name: The hook's name.
        clock: Seconds, never going backwards.

    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._news = RateLimit(WINDOW, clock)
        self._window = clock()
        self._said = 0
        self._left_out = 0
        self._line = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take what was printed, in pieces of any size."""
        if self._clock() - self._window >= WINDOW:
            self._window, self._said = self._clock(), 0
        start = 0
        while self._said < LINES and (end := chunk.find(b"\n", start)) >= 0:
            self._add(chunk[start:end])
            self._end_line()
            start = end + 1
        if self._said < LINES:
            self._add(chunk[start:])
        else:  # a flood must not cost time either
            self._left_out += chunk.count(b"\n", start)

    def finish(self) -> None:
        """Log an unfinished last line, and how many lines were left out."""
        if self._line:
            self._end_line()
        if self._left_out and self._news.pass_on():
            _log.warning(
                "%s prints a lot: %d line%s not logged (at most %d a minute are)",
                self._name,
                self._left_out,
                " of it is" if self._left_out == 1 else "s of it are",
                LINES,
            )
            self._left_out = 0

    def _add(self, part: bytes) -> None:
        room = LENGTH + 1 - len(self._line)  # one more shows that the line was longer
        self._line += part[:room]

    def _end_line(self) -> None:
        line, self._line = bytes(self._line), bytearray()
        if self._said >= LINES:
            self._left_out += 1
            return
        self._said += 1
        text = line[:LENGTH].decode(errors="replace").rstrip()
        if text:
            _log.info("%s: %s%s", self._name, text, "…" if len(line) > LENGTH else "")

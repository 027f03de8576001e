"""Writes the log in a thread of its own, so that nobody who logs waits for its reader."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque

from serenbox.line_file import LineFile

_MOST_LINES = 1000
"""Lines that wait for a reader; more are dropped, and counted."""

_FAREWELL = 1.0
"""Seconds that a reader gets to take what is left at the end."""


class LogWriter(logging.Handler):
    """A handler that returns at once, whatever becomes of the line.

    The log may go to a terminal that somebody stopped with Ctrl-S, or to a program that does not
    read. The service must be able to close its camera and to end all the same.

    Args:
        descriptor: The file to write to.

    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._file = LineFile(descriptor)
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._busy = False
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            self._queue(self._line(record))
        except Exception:  # noqa: BLE001 - as every handler of logging's does
            self.handleError(record)

    def flush(self) -> None:
        """Wait for what has been logged to be written, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._busy, _FAREWELL)

    def _queue(self, line: bytes) -> None:
        with self._changed:
            if len(self._lines) >= _MOST_LINES:
                self._dropped += 1
                return
            self._lines.append(line)
            self._changed.notify_all()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="log", daemon=True)
                thread.start()  # fails if there are too many; then the next line tries again
                self._thread = thread

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode(errors="backslashreplace")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                self._busy = True
                line = self._lines.popleft()
                if not self._lines and self._dropped:
                    self._lines.append(self._line(_loss(self._dropped)))
                    self._dropped = 0
            with contextlib.suppress(OSError):  # later lines may fare better
                self._file.write(line)


def _loss(lines: int) -> logging.LogRecord:
    text = "%d lines of the log were dropped, because nobody read them"
    return logging.LogRecord(
        "serenbox.log", logging.WARNING, __file__, 0, text, (lines,), exc_info=None
    )

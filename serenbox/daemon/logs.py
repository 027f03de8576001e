"""The service's log: one line per incident on standard error, with priorities for the journal."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, TextIO

from serenbox.cli.common import printable
from serenbox.daemon.log_writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""See sd-daemon(3)."""


_STANDARD_ERROR = 2


class JournalFormatter(logging.Formatter):
    """Formats lines with a priority prefix for the journal, which adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and more for a traceback."""
        priority = _PRIORITIES.get(record.levelno, 6)
        head = f"<{priority}>{_topic(record)}: "
        return "\n".join(head + line for line in _lines(record))


class TerminalFormatter(logging.Formatter):
    """Formats lines for a person or a file."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and more for a traceback."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        level = record.levelname.lower()
        head = f"{time} {level:7} {_topic(record)}: "
        return head + "\n".join(_lines(record))


def set_up_logging(*, debug: bool = False, own_thread: bool = False) -> None:
    """Write the project's log, and nothing else, to standard error.

    Decoders and drivers write what they please to file descriptor 2, some of them a line for every
    damaged frame. SerenBox reports problems in its own words, so theirs are discarded.

    Args:
        debug: Keep theirs, and log everything.
        own_thread: Let nobody who logs wait for whoever reads it; for a process that does not fork.

    """
    if not debug:
        _keep_standard_error_to_ourselves()
    handler = _thread_handler() if own_thread else logging.StreamHandler(sys.stderr)
    journal = _is_journal(os.environ, sys.stderr)
    handler.setFormatter(JournalFormatter() if journal else TerminalFormatter())
    logger = logging.getLogger("serenbox")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.raiseExceptions = debug  # a full disk or a closed terminal is no reason for tracebacks


def fill_standard_descriptors() -> None:
    """Open /dev/null in place of any closed standard input, output or error.

    Otherwise the next file or pipe would get its number, and be mistaken for it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)


def _keep_standard_error_to_ourselves() -> None:
    try:
        ours = os.dup(2)
    except OSError:  # it is closed
        ours = -1
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 2)
    if nowhere != 2:
        os.close(nowhere)
    if ours >= 0:
        sys.stderr = os.fdopen(ours, "w", buffering=1, errors="backslashreplace")


def _thread_handler() -> logging.Handler:
    try:
        return LogWriter(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
        return logging.NullHandler()


def _is_journal(environment: Mapping[str, str], stream: TextIO | None) -> bool:
    """Return whether the stream is the one that systemd connected to its journal."""
    try:
        found = os.fstat(-1 if stream is None else stream.fileno())
    except (OSError, ValueError):  # it is closed
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _lines(record: logging.LogRecord) -> Iterator[str]:
    yield printable(record.getMessage())
    if record.exc_info:
        for part in traceback.format_exception(record.exc_info[1]):
            yield from map(printable, part.splitlines())


def _topic(record: logging.LogRecord) -> str:
    return record.name.removeprefix("serenbox.")

"""The service's log: one line per incident on standard error, with priorities for the journal."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

from serenbox.cli.common import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        """Return one line."""
        priority = _PRIORITIES.get(record.levelno, 6)
        return f"<{priority}>{_topic(record)}: {printable(record.getMessage())}"


class TerminalFormatter(logging.Formatter):
    """Formats lines for a person or a file."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        level = record.levelname.lower()
        return f"{time} {level:7} {_topic(record)}: {printable(record.getMessage())}"


def set_up_logging(*, debug: bool = False) -> None:
    """Write the project's log, and nothing else, to standard error.

    Decoders and drivers write what they please to file descriptor 2, some of them a line for every
    damaged frame. SerenBox reports problems in its own words, so theirs are discarded.

    Args:
        debug: Keep theirs, and log everything.

    """
    if not debug:
        _keep_standard_error_to_ourselves()
    handler = logging.StreamHandler(sys.stderr)
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


def _is_journal(environment: Mapping[str, str], stream: TextIO | None) -> bool:
    """Return whether the stream is the one that systemd connected to its journal."""
    try:
        found = os.fstat(-1 if stream is None else stream.fileno())
    except (OSError, ValueError):  # it is closed
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _topic(record: logging.LogRecord) -> str:
    return record.name.removeprefix("serenbox.")

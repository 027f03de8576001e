"""JSON lines on standard output: the output that needs nothing else."""

from __future__ import annotations

import errno
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from serenbox.errors import reason_of
from serenbox.line_file import LineFile
from serenbox.outputs.queueing import Mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger("serenbox.outputs")

_GONE = {errno.EPIPE, errno.EBADF, errno.EIO}
"""Errors after which nobody will ever read: a closed pipe, a closed file, a lost terminal."""

_printing = threading.Lock()
"""Held while a line is written: an output that was closed may still wait for the reader of its last
one when the next output begins."""


class StdoutOutput:
    """Prints one line per event, and per mood if asked to.

    If the reader is slow, the queue fills up; if the disk is full, lines are lost until there is
    space again; a closed pipe ends only this output. Each problem is logged once.

    Args:
        moods: Also print the state between events.
        descriptor: The file to write to; None for standard output.

    """

    name = "stdout"

    def __init__(self, *, moods: bool = False, descriptor: int | None = None) -> None:
        self._moods = moods
        self._descriptor = descriptor
        self._wake = threading.Event()
        self._mailbox = Mailbox(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="stdout", daemon=True)
        self._closing = False
        self._file: LineFile | None = None
        self._published = 0
        self._problem: str | None = None

    def start(self) -> None:
        """Start printing."""
        if self._descriptor is None:
            try:
                self._descriptor = sys.stdout.fileno()
            except (AttributeError, OSError, ValueError):  # none, replaced, or closed
                self._report("standard output is closed: no events are printed there")
                return
        self._file = LineFile(self._descriptor)
        self._mailbox.open()
        self._thread.start()

    def mood(self, message: Mapping[str, Any]) -> None:
        """Print the state, if asked to."""
        if self._moods:
            self._mailbox.put("mood", message)

    def event(self, message: Mapping[str, Any]) -> None:
        """Print a change."""
        self._mailbox.put("event", message)

    def stats(self, message: Mapping[str, Any]) -> None:
        """Do nothing: statistics are not printed."""

    def close(self, timeout: float) -> None:
        """Print what is waiting and stop.

        Args:
            timeout: Seconds; what a reader has not taken by then is lost.

        """
        self._mailbox.shut(forget=False)
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
            # Otherwise they would be printed after what comes from an output that replaces this.
            self._mailbox.shut()

    def health(self) -> dict[str, Any]:
        """Return whether printing goes on, and how many lines were printed and dropped."""
        return {
            "connected": self._thread.is_alive(),
            "published": self._published,
            "dropped": self._mailbox.dropped,
            "problem": self._problem,
        }

    def _run(self) -> None:
        while True:
            taken = self._mailbox.take()
            if taken is not None:
                if not self._print(*taken):
                    self._mailbox.shut()
                    return
            elif self._closing:
                return
            else:
                self._wake.wait()
                self._wake.clear()

    def _print(self, kind: str, message: Mapping[str, Any]) -> bool:
        """Write one line; return whether later ones are worth trying."""
        assert self._file is not None  # noqa: S101 - for the type checker
        try:
            text = json.dumps(message, separators=(",", ":"), allow_nan=False)
            with _printing:
                self._file.write(text.encode() + b"\n")
        except (TypeError, ValueError) as error:
            self._report(f"a message cannot be written as JSON ({error}): a bug in SerenBox")
        except OSError as error:
            if error.errno in _GONE:
                self._report(
                    "the reader of standard output has gone: events go only to the other outputs"
                )
                self._mailbox.count_dropped(kind == "event")
                return False
            self._report(
                f"standard output: events cannot be written ({reason_of(error)}) and are lost "
                "until they can be: free some space or write them elsewhere"
            )
        else:
            self._published += 1
            self._problem = None
            return True
        self._mailbox.count_dropped(kind == "event")
        return True

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            _log.warning("%s", problem)

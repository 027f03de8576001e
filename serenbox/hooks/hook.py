"""One hook: its waiting events, its run, and what is logged about it."""

from __future__ import annotations

import errno
import json
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenbox.errors import reason_of
from serenbox.hooks.lines import LineLog
from serenbox.hooks.process import HookProcess
from serenbox.outputs.queueing import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serenbox.hooks.events import Happening
    from serenbox.settings.schema import HookSettings

_log = logging.getLogger("serenbox.hooks")

_REPEATED = 3600.0
"""Minimum seconds between two log lines about the same kind of failure."""

_START_ADVICE = {
    errno.ENOENT: "there is no such program, or its first line names one that does not exist",
    errno.EACCES: "it may not be run: make it executable, and its folder readable, for the service",
    errno.ENOEXEC: "it is not a program: begin a script with a line such as #!/bin/sh",
}


class Hook:
    """Runs a command, one run at a time.

    Of the events that come meanwhile, the newest of each kind waits; of `error`, that of each
    source.

    Args:
        settings: When to run what.
        clock: Seconds, never going backwards.

    """

    def __init__(self, settings: HookSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self.name = Path(settings.command[0]).name
        """Its name in the log."""
        self._waiting: dict[tuple[str, str | None], Mapping[str, Any]] = {}
        self._process: HookProcess | None = None
        self._stopping = False
        self._lines = LineLog(self.name, clock)
        self._told: dict[str, RateLimit] = {}
        self.finished = 0
        """Runs that ended with exit code 0."""
        self.failed = 0
        """Runs that did not, or could not start."""
        self.dropped = 0
        """Events that gave way to newer ones of their kind, or still waited at the end."""
        self.problem: str | None = None
        """What was wrong with the last run."""

    @property
    def running(self) -> HookProcess | None:
        """The run that has not ended."""
        return self._process

    def offer(self, happening: Happening) -> None:
        """Queue an event, if it is one of those that the hook is for."""
        if happening.event in self._settings.events:
            kind = happening.event, happening.message.get("source")
            # The older one is removed first, so that this one queues behind what came before it.
            self.dropped += self._waiting.pop(kind, None) is not None
            self._waiting[kind] = happening.message

    def turn(self) -> None:
        """Go on as far as possible without blocking."""
        if self._process is not None and self._process.turn(self._clock()):
            self._lines.finish()
            if not self._stopping:
                self._judge(self._process)
            self._process = None
        while self._process is None and self._waiting:
            self._begin(self._waiting.pop(next(iter(self._waiting))))

    def stop(self, grace: float) -> None:
        """Start no more runs, and end the current one: by force after `grace` seconds."""
        self._stopping = True
        self.dropped += len(self._waiting)
        self._waiting.clear()
        if self._process is not None:
            self._process.stop(self._clock(), grace)

    def _begin(self, message: Mapping[str, Any]) -> None:
        settings = self._settings
        told = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            self._process = HookProcess(
                settings.command,
                told,
                self._lines.feed,
                timeout=settings.timeout,
                now=self._clock(),
            )
        except (OSError, ValueError) as error:  # ValueError: what no command line can hold
            number = getattr(error, "errno", None)
            reason = _START_ADVICE.get(number or 0) or reason_of(error)
            self._fail("start", f"{settings.command[0]} cannot be started: {reason}")

    def _judge(self, process: HookProcess) -> None:
        code = process.returncode or 0
        if process.timed_out:
            seconds = f"{self._settings.timeout:g} s"
            self._fail("time", f"{self.name} took longer than {seconds} and was ended")
        elif code > 0:
            self._fail("code", f"{self.name} failed with exit code {code}")
        elif code < 0:
            self._fail("signal", f"{self.name} was ended by {_signal_name(-code)}")
        else:
            self.finished += 1
            self.problem = None

    def _fail(self, kind: str, problem: str) -> None:
        self.failed += 1
        self.problem = problem
        count = self._told.setdefault(kind, RateLimit(_REPEATED, self._clock)).pass_on()
        if count:
            times = f" ({count} times since this was last said)" if count > 1 else ""
            _log.warning("%s%s; this is said at most once an hour", problem, times)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

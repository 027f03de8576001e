"""The output that runs hooks: one thread for all of them, which blocks on none."""

from __future__ import annotations

import logging
import select
import threading
import time
from typing import TYPE_CHECKING, Any

from serenbox.hooks.events import EventReader, camera_problem
from serenbox.hooks.hook import Hook
from serenbox.outputs.queueing import Mailbox
from serenbox.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serenbox.settings.schema import HookSettings

_log = logging.getLogger("serenbox.hooks")

_GRACE_AT_CLOSE = 1.0
"""Seconds between SIGTERM and SIGKILL when the service ends."""


class HookOutput:
    """Runs each hook on its events.

    Args:
        hooks: The hooks.

    """

    name = "hooks"

    def __init__(self, hooks: Sequence[HookSettings]) -> None:
        self._hooks = [Hook(settings, time.monotonic) for settings in hooks]
        self._reader = EventReader()
        self._camera_problem: str | None = None
        self._waker: Waker | None = None
        self._mailbox = Mailbox(self._wake)
        self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)
        self._grace: float | None = None
        self._problem: str | None = None

    def start(self) -> None:
        """Start running hooks."""
        self._waker = Waker()
        self._mailbox.open()
        self._thread.start()

    def mood(self, message: Mapping[str, Any]) -> None:
        """Check for a camera that has failed."""
        problem = camera_problem(message)
        if problem != self._camera_problem:
            self._camera_problem = problem
            # Queued like an event: the next mood, with the camera back, must not replace it.
            self._mailbox.put("event", message)

    def event(self, message: Mapping[str, Any]) -> None:
        """Run the hooks for a change."""
        self._mailbox.put("event", message)

    def stats(self, message: Mapping[str, Any]) -> None:
        """Check for outputs that have failed."""
        self._mailbox.put("stats", message)

    def close(self, timeout: float) -> None:
        """End all runs and start no more.

        Args:
            timeout: Seconds. Runs that have not ended after half of it, or after a second, are
                ended by force.

        """
        self._mailbox.shut()
        self._grace = min(_GRACE_AT_CLOSE, timeout / 2)
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._waker is not None and not self._thread.is_alive():
            self._waker.close()

    def health(self) -> dict[str, Any]:
        """Return the health of the hooks.

        `published` counts the runs that ended well, `failed` the others, `dropped` the events that
        no run will get, `running` the current runs; `problem` is that of the thread, or of the
        first hook whose last run failed.
        """
        problems = (hook.problem for hook in self._hooks if hook.problem)
        return {
            "connected": self._thread.is_alive(),
            "published": sum(hook.finished for hook in self._hooks),
            "failed": sum(hook.failed for hook in self._hooks),
            "dropped": self._mailbox.dropped + sum(hook.dropped for hook in self._hooks),
            "running": sum(hook.running is not None for hook in self._hooks),
            "problem": self._problem or next(problems, None),
        }

    def _wake(self) -> None:
        if self._waker is not None:
            self._waker.wake()

    def _run(self) -> None:
        try:
            while self._grace is None:
                self._distribute()
                for hook in self._hooks:
                    hook.turn()
                self._wait()
        except Exception as error:  # noqa: BLE001 - the hooks end, but the box goes on sensing
            self._problem = (
                f"hooks are no longer run (unexpected {type(error).__name__}: {error}): a "
                "bug in SerenBox, please report it; restart the service to get them back"
            )
            _log.warning("%s", self._problem)
        finally:
            self._mailbox.shut()
            self._stop()

    def _distribute(self) -> None:
        while taken := self._mailbox.take():
            kind, message = taken
            if kind == "event" and "event" not in message:
                kind = "mood"
            for happening in self._reader.read(kind, message):
                for hook in self._hooks:
                    hook.offer(happening)

    def _wait(self) -> None:
        """Sleep until there is a message, or something happens to a run."""
        assert self._waker is not None  # noqa: S101 - for the type checker
        runs = [hook.running for hook in self._hooks if hook.running is not None]
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        for run in runs:
            for descriptor, events in run.waits_for().items():
                poll.register(descriptor, events)
        due = min((run.due for run in runs), default=None)
        poll.poll(None if due is None else max(0.0, due - time.monotonic()) * 1000)
        self._waker.clear()

    def _stop(self) -> None:
        for hook in self._hooks:
            hook.stop(_GRACE_AT_CLOSE if self._grace is None else self._grace)
        while any(hook.running for hook in self._hooks):
            self._wait()
            for hook in self._hooks:
                hook.turn()

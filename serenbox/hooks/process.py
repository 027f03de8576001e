"""One run of a hook: a process group with a pipe to it, a pipe from it, and a deadline.

Nothing here blocks: the owner of a run polls what `waits_for` returns, until `due`, and calls
`turn`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

_CHUNK = 65536
_BREATH = 0.05
"""Seconds between two chunks of output: a process that prints without end then waits for its full
pipe, and cannot keep the thread busy."""

_LAST_WORDS = 16
"""Maximum chunks read when the run is over: more than a pipe holds."""

_NEVER = float("inf")

_NICENESS = 10
_OUT_OF_MEMORY_SCORE = 500
"""If memory runs out, Linux should kill the hook rather than the service (see proc(5))."""

KEPT_VARIABLES = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
)
"""The service's environment variables that a hook gets: none that holds or points to a secret."""


class HookProcess:
    """A started command, in its own session and so its own process group.

    It is over when its first process ends; whatever that leaves behind in the group is then killed.

    Args:
        command: Program and arguments.
        told: What it reads on standard input.
        printed: Called with what it prints.
        timeout: Seconds that it may take.
        now: Seconds on a clock that never goes backwards, as in `turn`.

    Raises:
        OSError: It cannot be started.

    """

    def __init__(
        self,
        command: Sequence[str],
        told: bytes,
        printed: Callable[[bytes], None],
        *,
        timeout: float,
        now: float,
    ) -> None:
        self._printed = printed
        self._told = memoryview(told)
        self._deadline = now + timeout
        self._breathing = _NEVER
        self.timed_out = False
        """Whether it took too long."""
        self.returncode: int | None = None
        """Its exit code once it is over, or the negated number of the signal that ended it."""
        self._signals = [signal.SIGTERM, signal.SIGKILL]
        self._process = subprocess.Popen(  # noqa: S603 - the owner's own command, without a shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=hook_environment(os.environ),
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 - for the checker
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)
        try:
            self._end = os.pidfd_open(self._process.pid)
        except OSError:
            self._give_up()
            raise
        self._be_humble()

    @property
    def due(self) -> float:
        """When `turn` must be called at the latest."""
        return min(self._deadline, self._breathing)

    def waits_for(self) -> dict[int, int]:
        """Return the descriptors to poll, each with its events."""
        wanted = {self._end: select.POLLIN}
        if not self._input.closed:
            wanted[self._input.fileno()] = select.POLLOUT
        if not self._output.closed and self._breathing == _NEVER:
            wanted[self._output.fileno()] = select.POLLIN
        return wanted

    def turn(self, now: float) -> bool:
        """Do what can be done without blocking; return whether it is over."""
        self._write()
        if now >= self._breathing:
            self._breathing = _NEVER
        if self._breathing == _NEVER and self._read():
            self._breathing = now + _BREATH
        if self._has_ended():
            self._finish()
            return True
        if now >= self._deadline:
            self.timed_out = True
            self._strike(now, GRACE)
        return False

    def stop(self, now: float, grace: float) -> None:
        """End it: with SIGTERM now and with SIGKILL `grace` seconds later."""
        if self._signals[0] is signal.SIGTERM:
            self._strike(now, grace)
        self._deadline = min(self._deadline, now + grace)

    def _strike(self, now: float, grace: float) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, self._signals[0])
            os.killpg(self._process.pid, signal.SIGCONT)  # a stopped process would not react
        self._signals = self._signals[1:] or self._signals
        self._deadline = now + grace

    def _write(self) -> None:
        if self._input.closed:
            return
        try:
            written = self._input.write(self._told)
        except OSError:  # it does not read
            written = len(self._told)
        self._told = self._told[written or 0 :]
        if not self._told:
            self._input.close()

    def _read(self) -> bool:
        """Read a chunk; return whether there was one."""
        if self._output.closed:
            return False
        chunk = self._output.read(_CHUNK)
        if chunk:
            self._printed(chunk)
        elif chunk is not None:  # all writers have closed it
            self._output.close()
        return bool(chunk)

    def _has_ended(self) -> bool:
        # It is not reaped yet: until then no other process can get its ID, and so its group's.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _finish(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for _ in range(_LAST_WORDS):
            if not self._read():
                break
        self.returncode = self._process.wait()
        self._close()
        os.close(self._end)

    def _close(self) -> None:
        for pipe in (self._input, self._output):
            with contextlib.suppress(OSError):
                pipe.close()

    def _give_up(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def _be_humble(self) -> None:
        """Give the service precedence over the run, where the system allows it."""
        pid = self._process.pid
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(_OUT_OF_MEMORY_SCORE))


def hook_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the environment that a hook gets."""
    return {name: environment[name] for name in KEPT_VARIABLES if name in environment}

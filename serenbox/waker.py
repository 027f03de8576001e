"""A pipe on which a thread sleeps until another thread or a signal writes to it."""

from __future__ import annotations

import contextlib
import os

_MANY = 4096


class Waker:
    """Wakes a thread that waits for `fileno` to be readable. Any thread may call `wake`."""

    def __init__(self) -> None:
        # The writer also serves `signal.set_wakeup_fd`, so both are plain descriptors.
        self._reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._reader

    def wake(self) -> None:
        """Wake the thread, now or as soon as it waits."""
        with contextlib.suppress(OSError):  # full, so it is awake; or closed, so nothing waits
            os.write(self.writer, b"\0")

    def clear(self) -> None:
        """Let the thread sleep again: empty the pipe."""
        try:
            while len(os.read(self._reader, _MANY)) == _MANY:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close the pipe; no thread may wait on it any longer."""
        writer, self.writer = self.writer, -1
        reader, self._reader = self._reader, -1
        if writer >= 0:
            os.close(writer)
            os.close(reader)

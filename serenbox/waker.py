"""What a thread sleeps on while others may want it: a pipe that threads and signals write to."""

from __future__ import annotations

import contextlib
import os

_MANY = 4096


class Waker:
    """Wakes a thread that waits for `fileno` to be readable. `wake` may come from any thread."""

    def __init__(self) -> None:
        # The writer is for `signal.set_wakeup_fd`, too, so both are plain descriptors.
        self._reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return what to wait for."""
        return self._reader

    def wake(self) -> None:
        """Wake it, now or as soon as it waits."""
        with contextlib.suppress(OSError):  # full, so it is awake; or closed, so nobody sleeps
            os.write(self.writer, b"\0")

    def clear(self) -> None:
        """Let it sleep again."""
        try:
            while len(os.read(self._reader, _MANY)) == _MANY:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the pipe back; nobody may wait any longer."""
        writer, self.writer = self.writer, -1
        reader, self._reader = self._reader, -1
        if writer >= 0:
            os.close(writer)
            os.close(reader)

"""One service at a time: the lock that the running one holds."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Self

from serenbox.errors import ServiceError, reason_of

if TYPE_CHECKING:
    from pathlib import Path


class TakenError(ServiceError):
    """Another service holds the lock."""


class ServiceLock:
    """A lock on a file, held until `release` or the end of the process, however it ends.

    Args:
        path: The file; created if missing, and never removed, because that could let two services
            run at once. It names the process that holds it and since when.

    Raises:
        TakenError: Another service holds it.
        ServiceError: The file cannot be opened or locked.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ServiceError(
                f"the lock {path} cannot be opened ({reason_of(error)}): make its folder writable"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(self._file)
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise ServiceError(
                    f"the lock {path} cannot be taken ({reason_of(error)}): put the runtime folder "
                    "on a file system that has locks"
                ) from error
            raise TakenError(
                f"another serenbox{holder} is already running: stop it first; for the installed "
                "service, run `sudo systemctl stop serenbox`"
            ) from error
        with contextlib.suppress(OSError):  # the lock holds even on a full disk
            os.ftruncate(self._file, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            os.pwrite(self._file, f"process {os.getpid()}, since {since}\n".encode(), 0)

    def renew(self) -> None:
        """Take the lock anew if its file has gone: another service would not see the old one.

        Raises:
            TakenError: Another service holds it.
            ServiceError: The file cannot be opened or locked.

        """
        if not is_at(os.fstat(self._file), self._path):
            again = ServiceLock(self._path)
            self.release()
            self._file = again._file

    def release(self) -> None:
        """Release the lock; further calls do nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        """Return the lock, which is held already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        self.release()


def is_at(known: os.stat_result, path: Path) -> bool:
    """Return whether a path still leads to the file that is known."""
    try:
        return os.path.samestat(known, path.lstat())
    except OSError:
        return False


def _holder(file: int) -> str:
    """Return what the lock says about its holder, in parentheses, or an empty string."""
    with contextlib.suppress(OSError):
        text = os.pread(file, 100, 0).decode(errors="replace").strip()
        if text.isprintable() and text:
            return f" ({text})"
    return ""

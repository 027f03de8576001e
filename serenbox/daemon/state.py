"""The one thing the service remembers: whether somebody paused it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("serenbox.state")


class PausedFlag:
    """An empty file that is there while the service is paused.

    A box that was paused stays so after a restart: whoever closed its eye wants it closed. Where
    the file cannot be written, the service goes on; it warns once.

    Args:
        path: The file; its folder is made when it is first needed.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._warned = False

    def read(self) -> bool:
        """Tell whether the service was paused."""
        try:
            self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self._warn(f"whether the service was paused cannot be read ({error.strerror})")
            return False
        return True

    def write(self, *, paused: bool) -> bool:
        """Remember it, also through a loss of power; tell whether that worked."""
        try:
            if paused:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.touch()
            elif self.read():
                self._path.unlink(missing_ok=True)
            else:
                return True
            _sync(self._path.parent)
        except OSError as error:
            self._warn(f"after a restart it will be forgotten ({error.strerror})")
            return False
        return True

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "paused or not: %s: see that %s may be written to and that its disk has room",
                what,
                self._path.parent,
            )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The one thing the service remembers: whether somebody paused it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from serenbox.daemon.volatile import why_lost
from serenbox.errors import reason_of
from serenbox.whole_file import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("serenbox.state")


class PausedFlag:
    """An empty file that exists while the service is paused.

    A paused box stays paused after a restart: whoever closed its eye wants it closed. If the file
    cannot be written, or will be gone after a reboot, the service goes on and says so.

    Args:
        path: The file; its folder is created when first needed.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: bool | None = None
        self.problem: str | None = None
        """One sentence on why the state is not, or not for long, remembered; None if it is."""

    def read(self) -> bool:
        """Return whether the service was paused; True if that cannot be read."""
        try:
            self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self.problem = (
                f"whether the service was paused cannot be read ({reason_of(error)}), so the "
                "camera stays closed until somebody resumes it: see what is wrong with "
                f"{self._path.parent}"
            )
            _log.warning("%s", self.problem)
            return True
        self._tell(why_lost(self._path.parent), paused=True)
        return True

    def write(self, *, paused: bool) -> bool:
        """Remember the state, even through a loss of power; return whether that worked."""
        try:
            self._write(paused=paused)
        except OSError as error:
            problem: str | None = (
                f"after a restart this will be forgotten ({reason_of(error)}): see that "
                f"{self._path.parent} may be written to and that its disk has room"
            )
        else:
            # A box that is not paused after a reboot is what `resume` is for.
            problem = why_lost(self._path.parent) if paused else None
        self._tell(problem, paused=paused)
        return problem is None

    def _tell(self, problem: str | None, *, paused: bool) -> None:
        """Log a problem once, however often it is found again."""
        self.problem = problem
        if problem is None:
            self._told = None
            return
        if paused is not self._told:
            _log.warning("%s: %s", "paused" if paused else "resumed", problem)
        self._told = paused

    def _write(self, *, paused: bool) -> None:
        if paused:
            if not os.path.lexists(self._path):  # it also counts where nothing can be written
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.touch()
        else:
            try:
                self._path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
        sync_folder(self._path.parent)

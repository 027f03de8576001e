"""The file of a history while minutes are being added to it."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.errors import HistoryDamagedError, HistoryError, reason_of
from serenbox.history.database import Database
from serenbox.history.files import delete_files, erase, files_set_aside, set_aside
from serenbox.history.minutes import MINUTE
from serenbox.history.reading import read_summaries
from serenbox.history.trust import MINUTES_PER_DAY, compare_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serenbox.history.minutes import Summary

_log = logging.getLogger("serenbox.history")

PRUNED = MINUTES_PER_DAY
"""Minutes removed at a time."""


class KeptFile:
    """A database that is started anew if it was removed or is damaged. For one thread at a time.

    All methods but `use`, `read` and `close` raise what `Database` does, and are meant to be called
    within `use`.

    Args:
        path: The database.
        wall: Seconds since 1970; somebody may set it at any moment.

    """

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        # As SQLite does, which puts its other files beside the real one. Up to Python 3.12
        # `resolve` fails on a link to itself.
        self.path = Path(os.path.realpath(path))
        self._wall = wall
        self._database: Database | None = None

    @property
    def is_open(self) -> bool:
        """Whether the database is open."""
        return self._database is not None

    def use(self, action: Callable[[], None]) -> None:
        """Carry out an action; if the file turns out to be damaged, begin a new one and repeat it.

        Raises:
            HistoryError: It failed, and the database was closed; says why and what to do.

        """
        try:
            try:
                action()
            except HistoryDamagedError as damage:
                self._set_aside(damage)
                action()
        except HistoryError:
            self.close()
            raise
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise self._explained(error) from error

    def open(self) -> tuple[float | None, bool]:
        """Open the database, unless it is open and in its place.

        Returns:
            What `compare_clock` does for a database opened now.

        """
        if self._database is not None and not self._database.in_place:
            self.close()
            _log.warning("%s: somebody has removed the history: a new one is started", self.path)
        if self._database is not None:
            return None, False
        self._database = Database(self.path)
        return compare_clock(self._database, self._wall())

    def add(self, batch: Sequence[Summary]) -> None:
        """Write minutes to the open database, all or none."""
        assert self._database is not None  # noqa: S101 - for the type checker
        self._database.add(batch)

    def prune(self, first: int, last: int | None) -> bool:
        """Remove a few of the minutes that are not to be kept, and old files set aside.

        Args:
            first: The first minute to keep.
            last: The last minute to keep; None keeps all from the first one on.

        Returns:
            Whether there is more to do; False if the database is not open.

        """
        if self._database is None:
            return False
        more = self._database.prune(first, PRUNED, last)
        for file in files_set_aside(self.path):
            if file.stat().st_mtime < first * MINUTE:
                erase(file)
        return more

    def delete(self) -> None:
        """Remove the database and what was set aside."""
        self.close()
        delete_files(self.path)

    def read(self, first: int, end: int, step: int) -> list[Summary]:
        """Return what `read_summaries` does; nothing if the database is not open.

        Raises:
            HistoryError: It cannot be read.

        """
        return list(read_summaries(self.path, first, end, step)) if self.is_open else []

    def close(self) -> None:
        """Close the database if it is open."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _set_aside(self, damage: HistoryDamagedError) -> None:
        self.close()
        aside = set_aside(self.path, self._wall())
        _log.warning("%s: it was set aside as %s, and a new one was started", damage, aside.name)

    def _explained(self, error: Exception) -> HistoryError:
        return HistoryError(
            f"{self.path}: the history cannot be written ({reason_of(error)}): see that the "
            "folder may be written to and that its disk has room; up to a day's minutes wait in "
            "memory"
        )

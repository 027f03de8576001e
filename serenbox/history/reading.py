"""Reads the database; others may write to it meanwhile."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from serenbox.errors import HistoryDamagedError, HistoryError, reason_of
from serenbox.history.files import log_erased
from serenbox.history.minutes import Summary
from serenbox.history.schema import (
    MOOD_COLUMNS,
    PATIENCE,
    SCHEMA,
    VALUES,
    check_table,
    damage_told,
    is_blank,
    newer,
    primary_code,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EVER = (1 << 63) - 1
"""SQLite's largest whole number."""

_PIECE = 1440
"""Minutes to read with one statement."""

# Only column names are formatted into the statement; values are bound.
_READ = (
    f"SELECT :first + (minute - :first) / :step * :step, "  # noqa: S608
    f"{', '.join(f'sum({column})' for column in VALUES)} FROM minutes "
    "WHERE minute >= :first AND minute < :end GROUP BY 1 ORDER BY 1"
)
_NEXT = "SELECT min(minute) FROM minutes WHERE minute >= ? AND minute < ?"


def read_summaries(path: Path, first: int, end: int, step: int = 1) -> Iterator[Summary]:
    """Yield what is kept, oldest first.

    However long the caller takes, the database can be written to and its log be checkpointed.

    Args:
        path: The database; others may write to it meanwhile.
        first: The first minute.
        end: The minute after the last one.
        step: How many minutes, counted from the first, are taken together.

    Raises:
        HistoryError: There is none, it cannot be read, is damaged, or is removed meanwhile.

    """
    with _reading(path) as connection:
        if is_blank(connection):
            return
        while first < end:
            (found,) = connection.execute(_NEXT, (first, end)).fetchone()
            if found is None:
                return
            first += (found - first) // step * step
            piece = min(end, first + -(-_PIECE // step) * step)  # whole steps
            values = {"first": first, "end": piece, "step": step}
            # Read before the first is yielded: an unfinished statement would hold up the log.
            for minute, *sums in connection.execute(_READ, values).fetchall():
                seconds = tuple(each / 1000 for each in sums)
                yield Summary(minute, seconds[: len(MOOD_COLUMNS)], seconds[len(MOOD_COLUMNS) :])
            first = piece


def read_extent(path: Path, until: int = _EVER) -> tuple[int, int, int]:
    """Return the first and the last minute and how many there are; (0, -1, 0) if there are none.

    Args:
        path: As above.
        until: The last minute that counts.

    Raises:
        HistoryError: As above.

    """
    with _reading(path) as connection:
        if is_blank(connection):
            return 0, -1, 0
        statement = "SELECT min(minute), max(minute), count(*) FROM minutes WHERE minute <= ?"
        first, last, count = connection.execute(statement, (until,)).fetchone()
        return (first, last, count) if count else (0, -1, 0)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        # `stat`, not `open`: its errors are clearer than SQLite's, and closing a file would drop
        # the locks that this process has on it (https://sqlite.org/howtocorrupt.html).
        found = path.stat()
    except OSError as error:
        raise HistoryError(
            f"{path}: the history cannot be read ({reason_of(error)}): check the name and its "
            "permissions"
        ) from error
    if stat.S_ISDIR(found.st_mode):  # SQLite would blame the disk
        raise HistoryError(f"{path}: it is a folder: name a file in it")
    try:
        # After a service was killed, this may be the connection whose end removes the log.
        with damage_told(path), log_erased(path), closing(_open_for_reading(path)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] > SCHEMA:
                raise newer(path)
            if not is_blank(connection):
                check_table(connection, path)
            yield connection
    except HistoryDamagedError as error:
        if _is_at(path, found):
            raise
        # What is removed is overwritten first.
        problem = "somebody has removed the history while it was being read"
        raise HistoryError(f"{path}: {problem}: the rest is missing") from error
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: the history cannot be read ({error})") from error


def _is_at(path: Path, found: os.stat_result) -> bool:
    """Return whether the path still leads to the file that was found there."""
    try:
        return os.path.samestat(path.stat(), found)
    except OSError:
        return False


def _open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the database for queries only; where nothing can be written beside it, as it is there.

    `mode=ro` is not tried first because it would leave SQLite's files behind beside the database.
    """
    address = f"file:{quote(str(path.absolute()))}"
    try:
        return _connect(f"{address}?mode=rw")
    except sqlite3.Error as error:
        extended = getattr(error, "sqlite_errorcode", None)
        # On a read-only medium; and in a folder that is somebody else's.
        if (
            primary_code(error) != sqlite3.SQLITE_CANTOPEN
            and extended != sqlite3.SQLITE_READONLY_DIRECTORY
        ):
            raise
        return _connect(f"{address}?mode=ro&immutable=1")


def _connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, timeout=PATIENCE, isolation_level=None, uri=True)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection

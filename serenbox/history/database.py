"""The database: a row of whole numbers per minute in one SQLite file.

Written in WAL mode and synced with every transaction (https://sqlite.org/wal.html), so that a power
cut loses only what was not written yet.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Self

from serenbox.errors import HistoryDamagedError
from serenbox.history.files import PRIVATE, log_erased
from serenbox.history.schema import (
    COLUMNS,
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
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from serenbox.history.minutes import Summary

_APPLICATION = 0x53426978
"""`PRAGMA application_id`, by which `file` and others recognise a history: SBix in ASCII."""

_PAGES = 256
"""Pages of 4 KiB after which the log is checkpointed, and free ones released at a time."""

# Only column names are formatted into statements; values are bound.
_CREATE = "CREATE TABLE minutes (minute INTEGER PRIMARY KEY, {})".format(
    ", ".join(f"{column} INTEGER NOT NULL" for column in VALUES)
)
_ADD = (
    f"INSERT INTO minutes VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608
    "ON CONFLICT (minute) DO UPDATE SET "
    + ", ".join(f"{column} = {column} + excluded.{column}" for column in VALUES)
)
_PRUNE, _PRUNE_AHEAD = (
    "DELETE FROM minutes WHERE minute IN "  # noqa: S608
    f"(SELECT minute FROM minutes WHERE minute {beyond} ? ORDER BY minute LIMIT ?)"
    for beyond in "<>"
)


class Database:
    """The database, open for writing. To be used by one thread, and by one process at a time.

    Args:
        path: The file; it and its folder are created if missing, for this user alone.

    Raises:
        HistoryDamagedError: It is damaged, or is not a history.
        HistoryError: It was made by a newer SerenBox.
        OSError: It cannot be created.
        sqlite3.Error: It cannot be opened.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._identity = _make_private(path)
        self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            with damage_told(path):
                self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def in_place(self) -> bool:
        """Whether the path still leads to the open file: somebody may have removed it."""
        try:
            return _identity(self._path.stat()) == self._identity
        except OSError:
            return False

    def add(self, summaries: Iterable[Summary]) -> None:
        """Write minutes, all or none; one that already exists becomes the sum of both.

        Raises:
            HistoryDamagedError: The file turns out to be damaged.
            sqlite3.Error: They could not be written, for example because the disk is full.

        """
        rows = [_row(summary) for summary in summaries]
        with damage_told(self._path), self._transaction():
            self._connection.executemany(_ADD, rows)

    def latest(self, until: int) -> int | None:
        """Return the last minute kept that is not after `until`; None if there is none.

        Raises:
            HistoryDamagedError: The file turns out to be damaged.
            sqlite3.Error: It cannot be read.

        """
        with damage_told(self._path):
            query = "SELECT max(minute) FROM minutes WHERE minute <= ?"
            (latest,) = self._connection.execute(query, (until,)).fetchone()
        return latest if latest is None else int(latest)

    def goes_beyond(self, minute: int) -> bool:
        """Return whether a later minute is kept; raises the same errors as `latest`."""
        with damage_told(self._path):
            query = "SELECT EXISTS (SELECT 1 FROM minutes WHERE minute > ?)"
            return bool(self._connection.execute(query, (minute,)).fetchone()[0])

    def prune(self, before: int, limit: int, after: int | None = None) -> bool:
        """Remove minutes, oldest first, and release their space.

        Args:
            before: The first minute to keep.
            limit: How many to remove at most, so that each step is short.
            after: The last minute to keep; None keeps all from the first one on.

        Returns:
            Whether there is more to do.

        Raises:
            HistoryDamagedError: The file turns out to be damaged.
            sqlite3.Error: They could not be removed.

        """
        with damage_told(self._path):
            with self._transaction():
                removed = self._connection.execute(_PRUNE, (before, limit)).rowcount
                if after is not None:
                    ahead = (after, limit - removed)
                    removed += self._connection.execute(_PRUNE_AHEAD, ahead).rowcount
            free = left = self._ask("PRAGMA freelist_count")
            if free > _PAGES:
                # Not `execute`, which makes only the first step: each step frees one page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
                left = self._ask("PRAGMA freelist_count")
        return removed >= limit or _PAGES < left < free

    def close(self) -> None:
        """Close the database, which checkpoints the write-ahead log and removes it."""
        with log_erased(self._path), contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def __enter__(self) -> Self:
        """Return the database."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _prepare(self) -> None:
        version = self._ask("PRAGMA user_version")
        if version > SCHEMA:
            raise newer(self._path)
        blank = is_blank(self._connection)
        if blank:
            self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        for setting in (
            "synchronous = FULL",
            "secure_delete = ON",
            "temp_store = MEMORY",
            "cache_size = -512",
            f"wal_autocheckpoint = {_PAGES}",
            # Not longer: nothing would overwrite what lies beyond the next checkpoint.
            f"journal_size_limit = {_PAGES * 4096}",
        ):
            self._connection.execute(f"PRAGMA {setting}")
        if blank:
            with self._transaction():
                self._connection.execute(_CREATE)
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")
        else:
            check_table(self._connection, self._path)
            found = str(self._ask("PRAGMA quick_check(1)"))
            if found != "ok":
                raise HistoryDamagedError(f"{self._path}: it is damaged ({found})")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled it back by itself
                self._connection.execute("ROLLBACK")
            raise

    def _ask(self, statement: str) -> int:
        found: int = self._connection.execute(statement).fetchone()[0]
        return found


def is_open_elsewhere(path: Path) -> bool:
    """Return whether another process has the database, which must exist, open.

    Only a connection that is alone can leave WAL mode (https://sqlite.org/wal.html), so this tries
    to; the database then stays out of that mode. A damaged file counts as not open.
    """
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    with log_erased(path), contextlib.closing(connection):
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        except sqlite3.Error as error:
            return primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return False


def _row(summary: Summary) -> tuple[int, ...]:
    values = (*summary.seconds, *summary.score_seconds)
    return (summary.minute, *(round(1000 * value) for value in values))


def _make_private(path: Path) -> tuple[int, int]:
    """Create the file if missing, make it readable for its owner alone, return its identity."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    found = path.stat()
    if found.st_mode & 0o777 != PRIVATE:
        path.chmod(PRIVATE)
    return _identity(found)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino

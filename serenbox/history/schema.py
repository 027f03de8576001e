"""The schema of the database, and what its errors mean."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from serenbox.errors import HistoryDamagedError, HistoryError
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 1
"""`PRAGMA user_version`: grows when columns are removed or redefined."""

MOOD_COLUMNS = tuple(f"{label}_ms" for label in MOOD_LABELS)
SCORE_COLUMNS = tuple(f"{emotion}_score_ms" for emotion in EMOTIONS)
VALUES = (*MOOD_COLUMNS, *SCORE_COLUMNS)
COLUMNS = ("minute", *VALUES)

PATIENCE = 5.0
"""Seconds to wait while another process has locked the database."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_blank(connection: sqlite3.Connection) -> bool:
    """Return whether a database has no tables yet, like an empty file left by a full disk."""
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def check_table(connection: sqlite3.Connection, path: Path) -> None:
    """Raise HistoryDamagedError if the table of minutes is missing or has other columns.

    A view of that name is refused, too: a small file could yield rows without end.
    """
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'minutes'").fetchone()
    found = connection.execute("SELECT name FROM pragma_table_info('minutes')").fetchall()
    if kind != ("table",) or tuple(name for (name,) in found) != COLUMNS:
        raise HistoryDamagedError(f"{path}: it is not a SerenBox history")


@contextlib.contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn an SQLite error that means a damaged file into HistoryDamagedError."""
    try:
        yield
    except sqlite3.Error as error:
        if primary_code(error) not in _DAMAGE:
            raise
        raise HistoryDamagedError(f"{path}: it is damaged ({error})") from error


def primary_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code: the low byte of https://sqlite.org/rescode.html."""
    code = getattr(error, "sqlite_errorcode", None)  # Python's own errors have none
    return None if code is None else code & 0xFF


def newer(path: Path) -> HistoryError:
    """Return the error for a database made by a newer version."""
    return HistoryError(
        f"{path}: a newer SerenBox made this history: update SerenBox, or, if it is this box's "
        "own, remove it with `serenbox history --delete`"
    )

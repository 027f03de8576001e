"""Lets root use a history with the rights of its owner."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.errors import HistoryError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_owner(path: Path) -> Iterator[None]:
    """Let root use a history with only the rights of its owner; other users keep their own rights.

    SQLite obeys what it finds beside a database: it removes the file that a journal names. Links
    can lead anywhere. So if somebody else may write to that folder, such as a service that was
    broken into, root must not act there as root.

    Args:
        path: The database, which may be missing.

    Raises:
        HistoryError: Root may not act as its owner here, or others may write beside root's own.

    """
    if os.geteuid():
        yield
        return
    owner = _owner(path)
    if owner is None:
        _refuse_shared(path)
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        try:
            os.setgroups([])
            os.setegid(owner.st_gid)
            os.seteuid(owner.st_uid)
        except OSError as error:
            raise HistoryError(
                f"{path}: it belongs to user {owner.st_uid}, and root may not act as that user "
                f"here ({reason_of(error)}): run this as that user"
            ) from error
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _owner(path: Path) -> os.stat_result | None:
    """Return the `stat` of the first folder or file not owned by root; None if there is none."""
    for place in (*_folders(path), Path(os.path.realpath(path))):
        try:
            found = place.stat()
        except OSError:
            continue
        if found.st_uid != 0:
            return found
    return None


def _refuse_shared(path: Path) -> None:
    """Refuse root's own history in a folder such as /tmp: anybody could put a journal beside it."""
    for folder in _folders(path):
        try:
            found = folder.stat()
        except OSError:
            continue
        if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != 0):
            raise HistoryError(
                f"{path}: others may write to {folder}, so root does not use a history there: move "
                "it to a folder that is root's alone"
            )


def _folders(path: Path) -> tuple[Path, Path]:
    """Return the folder of a history, and that of the file to which it may be a link."""
    return path.absolute().parent, Path(os.path.realpath(path)).parent

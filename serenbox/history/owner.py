"""Whose a history is, and root's way into a folder that is not its own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.errors import HistoryError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_owner(path: Path) -> Iterator[None]:
    """Have root use a history with no more rights than those whose it is; others as themselves.

    SQLite does what it finds beside a database: it removes the file that a journal names. Links
    lead anywhere. So who may write to that folder, such as a service that was broken into, must not
    have root go there.

    Args:
        path: The database, there or not.

    Raises:
        HistoryError: Root may not act as its owner here.

    """
    owner = None if os.geteuid() else _owner(path)
    if owner is None:
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
                f"{path}: it belongs to user {owner.st_uid}, as whom root may not act here "
                f"({reason_of(error)}): run this as that user"
            ) from error
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _owner(path: Path) -> os.stat_result | None:
    """Return who but root may decide what is in the folder, or in the file; None for nobody."""
    real = Path(os.path.realpath(path))
    for place in (path.absolute().parent, real.parent, real):
        try:
            found = place.stat()
        except OSError:
            continue
        if found.st_uid != 0:
            return found
    return None

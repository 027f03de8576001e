"""Removes the history, whether or not the service is running."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from serenbox.daemon.control import ask_service
from serenbox.errors import HistoryError, NoServiceError, reason_of
from serenbox.history.database import is_open_elsewhere
from serenbox.history.files import database_files, delete_files, files_set_aside
from serenbox.history.owner import as_owner

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_PATIENCE = 60.0
"""Maximum seconds for the service to remove its history, even from a slow card."""

_DOUBT = 5.0
"""Seconds after which a problem of the history is taken for one of its removal. Before that, it may
be an old one, such as a full disk, which the removal solves."""

_INTERVAL = 0.05


def exists(path: Path) -> bool:
    """Return whether there is anything of a history, even if only what was set aside."""
    return bool(database_files(path) or files_set_aside(path))


def remove(path: Path) -> None:
    """Remove a history for good.

    A service that writes to it removes it itself: it also forgets what is not written yet, and
    begins a new one with the next minute.

    Args:
        path: The database, which may be missing. A link is refused: somebody who can create one in
            that folder must not be able to make root remove its target.

    Raises:
        HistoryError: It could not be removed, or another process uses it.
        ServiceError: The service that writes to it does not answer.

    """
    if _served(path):
        _have_removed(path)
        return
    if path.is_symlink():
        raise HistoryError(
            f"{path}: it is a link to {os.path.realpath(path)}: give that name with --file, and "
            "remove the link"
        )
    try:
        with as_owner(path):
            if path.exists() and is_open_elsewhere(path):
                raise HistoryError(
                    f"{path}: another process is using this history: stop it first, for example "
                    "with `sudo systemctl stop serenbox`"
                )
            delete_files(path)
    except (OSError, sqlite3.Error) as error:
        raise HistoryError(f"{path}: it could not be removed ({reason_of(error)})") from error


def _served(path: Path) -> bool:
    """Return whether a running service writes to this file."""
    try:
        file = _history_of(ask_service("status")).get("file")
    except NoServiceError:
        return False
    return file is not None and os.path.realpath(path) == os.path.realpath(file)


def _have_removed(path: Path) -> None:
    wanted = ask_service("delete history").get("deletions")
    if wanted is None:
        raise HistoryError(f"{path}: the service has just stopped keeping it: try again")
    began = time.monotonic()
    while (history := _history_of(ask_service("status"))).get("deletions", 0) < wanted:
        waited, problem = time.monotonic() - began, history.get("problem")
        if waited > (_DOUBT if problem else _PATIENCE):
            why = problem or f"it takes longer than {_PATIENCE:g} s"
            raise HistoryError(f"{path}: the service could not remove it: {why}")
        time.sleep(_INTERVAL)


def _history_of(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = status["outputs"].get("history", {})
    return found

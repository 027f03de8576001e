"""Commands that mend what several checks may find."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from serenbox.installed import install_command
from serenbox.settings.loader import SYSTEM_FILE, find_settings_file

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.doctor.roots import Person


def edit_settings(explicit: Path | None, person: Person) -> str:
    """Return the command that edits, or creates, the configuration that applies.

    Args:
        explicit: The configuration that was asked for; the usual one if None.
        person: For whom it applies.

    """
    path = find_settings_file(explicit, own=person.is_asking()) or SYSTEM_FILE
    name = shlex.quote(os.fspath(path))
    if explicit is not None and _is_missing(path):
        return f"serenbox config > {name}"
    return f"{'editor' if _mine(path) else 'sudoedit'} {name}"


def delete_history(folder: Path) -> str:
    """Return the command that removes the history kept in a folder."""
    return f"{'' if _mine(folder) else 'sudo '}serenbox history --delete"


def install_again(extra: str = "") -> str:
    """Return the command that installs the program that is running, whole and with all it needs.

    Args:
        extra: As of `install_command`.

    """
    return f"{install_command(extra)}  # in SerenBox's checkout"


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # its folder may not be looked into
        return False


def _mine(path: Path) -> bool:
    """Return whether the user is not root and may write there without sudo."""
    return os.geteuid() != 0 and os.access(path, os.W_OK)

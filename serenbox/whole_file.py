"""Writes files so that no reader ever sees a partial one, and makes folders durable."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole, or leave an existing one as it is.

    An existing file keeps its mode and, if possible, its owner; a symbolic link is followed.

    Raises:
        OSError: It cannot be written.

    """
    path = Path(os.path.realpath(path))
    hidden = path.with_name(f".serenbox-{os.urandom(8).hex()}.tmp")
    try:
        with hidden.open("xb") as file:
            with contextlib.suppress(OSError):  # no such file, or another user's
                found = path.stat()
                os.fchmod(file.fileno(), found.st_mode & 0o777)
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the list of files in a folder survive a loss of power.

    Raises:
        OSError: It cannot be opened, or the disk fails.

    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Writes files so that nobody ever finds a part of one, and folders so that they last."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or leave what is there as it is.

    What is there keeps its owner, as far as may be, and its mode; of a link that goes for what it
    names.

    Raises:
        OSError: It cannot be written.

    """
    path = Path(os.path.realpath(path))
    hidden = path.with_name(f".serenbox-{os.urandom(8).hex()}.tmp")
    try:
        with hidden.open("xb") as file:
            with contextlib.suppress(OSError):  # there is none, or it is another user's
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
    """See to it that which files are in a folder outlasts a loss of power.

    Raises:
        OSError: It cannot be opened, or the disk fails.

    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

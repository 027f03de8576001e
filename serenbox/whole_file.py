"""Writes files so that no reader ever sees a partial one, and makes folders durable."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_SHARED = stat.S_ISVTX | stat.S_IWOTH
"""The mode of folders where everybody makes files, and only their owners remove them."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole, or leave an existing one as it is.

    An existing file keeps its mode and, if possible, its owner; a symbolic link is followed, unless
    another user has put it into a folder such as `/tmp`.

    Raises:
        OSError: It cannot be written.

    """
    path = _resolved(path)
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


def _resolved(path: Path) -> Path:
    """Return where a path leads; what is no link yet may become one without changing that.

    Raises:
        PermissionError: It is a link that must not be followed. Linux would not follow it either
            (protected_symlinks in proc(5)), but is not asked to.

    """
    folder = Path(os.path.realpath(path.parent))
    if not path.is_symlink():
        return folder / path.name
    shared = folder.stat()
    owners = {os.geteuid(), shared.st_uid}
    if shared.st_mode & _SHARED == _SHARED and path.lstat().st_uid not in owners:
        raise PermissionError(errno.EACCES, "another user's link", str(path))
    return Path(os.path.realpath(path))


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

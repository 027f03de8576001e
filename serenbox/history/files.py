"""The files of the history, and how they are set aside and removed."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.whole_file import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = 0o600
"""Only the service's user reads and writes them."""

_LOG = "-wal"
_COMPANIONS = (_LOG, "-shm", "-journal")
"""Suffixes of what SQLite puts beside a database; see https://sqlite.org/tempfiles.html."""

_ASIDE = ".damaged-"
_MOMENT = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z"
_CHUNK = 1 << 20

_NOT_OVERWRITTEN = {
    *(errno.ELOOP, errno.EISDIR, errno.EACCES, errno.ENOSPC, errno.EFBIG),
    *(errno.ENXIO, errno.EINVAL),
}
"""Of a link, a folder, a file of another user, on a full copy-on-write disk, and of a pipe that
nobody or somebody reads: these are removed all the same."""

_TO_OVERWRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not blocking: somebody may have put a pipe there."""


def database_files(path: Path) -> list[Path]:
    """Return the files of the database that exist, the database itself first."""
    candidates = [path, *(path.with_name(path.name + companion) for companion in _COMPANIONS)]
    return [candidate for candidate in candidates if os.path.lexists(candidate)]


def files_set_aside(path: Path) -> list[Path]:
    """Return the files that were damaged and set aside."""
    return sorted(path.parent.glob(f"{glob.escape(path.name)}{_ASIDE}{_MOMENT}*"))


def set_aside(path: Path, wall: float) -> Path:
    """Rename a damaged database, and remove any that was set aside before.

    Args:
        path: The database; nobody may have it open.
        wall: Now, seconds since 1970, which becomes part of the name.

    Returns:
        The new name.

    Raises:
        OSError: The folder may not be written to.

    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    aside = path.with_name(f"{path.name}{_ASIDE}{moment}")
    earlier = files_set_aside(path)
    # The database goes last: after an interruption it is still found to be damaged.
    for file in reversed(database_files(path)):
        file.rename(aside.with_name(aside.name + file.name.removeprefix(path.name)))
    sync_folder(path.parent)
    for file in earlier:
        if not file.name.startswith(aside.name):
            erase(file)
    return aside


def delete_files(path: Path) -> int:
    """Remove the database and what was set aside; return how many bytes they had.

    Raises:
        OSError: Something could not be removed.

    """
    found = [*database_files(path), *files_set_aside(path)]
    size = sum(file.lstat().st_size for file in found)
    for file in found:
        erase(file)
    if found:
        sync_folder(path.parent)
    return size


def erase(file: Path) -> None:
    """Overwrite a file with zeros and remove it.

    Removing alone would leave its content in free blocks, for anybody who reads the raw disk. What
    the controller of a memory card keeps aside is out of reach.

    Raises:
        OSError: It could not be removed.

    """
    with contextlib.suppress(FileNotFoundError):
        try:
            _overwrite(file)
        except OSError as error:
            if error.errno not in _NOT_OVERWRITTEN:
                raise
        file.unlink()


@contextlib.contextmanager
def log_erased(path: Path) -> Iterator[None]:
    """Overwrite the write-ahead log of a database if SQLite removes it meanwhile.

    SQLite does so when the last connection is closed, and leaves what the log held in free blocks.

    Args:
        path: The database, or a link to it.

    """
    log = Path(f"{os.path.realpath(path)}{_LOG}")
    try:
        handle = os.open(log, _TO_OVERWRITE)
    except OSError:  # there is none, or it may not be written to, so that SQLite will not remove it
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if os.fstat(handle).st_nlink == 0:
                # First: else, after a loss of power, half a log could come back and be believed.
                sync_folder(log.parent)
                _overwrite_open(handle)
        os.close(handle)


def _overwrite(file: Path) -> None:
    handle = os.open(file, _TO_OVERWRITE)
    try:
        _overwrite_open(handle)
    finally:
        os.close(handle)


def _overwrite_open(handle: int) -> None:
    left = os.fstat(handle).st_size
    while left > 0:
        left -= os.write(handle, bytes(min(left, _CHUNK)))
    os.fsync(handle)

"""Whether what is written into a folder is gone after a reboot, because it lies in memory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from serenbox.system_text import text_of

_MOUNTS = Path("/proc/self/mountinfo")

_IN_MEMORY = {"tmpfs", "ramfs"}

_TEMPORARY = ("/tmp", "/run", "/dev/shm")  # noqa: S108 - nothing is written there
"""Whoever puts a state folder below one of these does not expect it to last, so nothing is told.
Tests do so, and users who try the service."""


class _Mount(NamedTuple):
    point: Path
    kind: str
    options: str


def why_lost(folder: Path) -> str | None:
    """Return a sentence on why a state folder is gone after a reboot; None if it is kept.

    It is gone if it lies in memory, or on an overlay that keeps changes in memory, as the Overlay
    File System of raspi-config does. An overlay whose changes lie where this process cannot see, as
    in a container, counts as kept.

    Args:
        folder: It need not exist.

    """
    real = Path(os.path.realpath(folder))
    if any(map(real.is_relative_to, _TEMPORARY)):
        return None
    if not _in_memory(real, _mounts(text_of(_MOUNTS))):
        return None
    return (
        "a pause and the history are gone after a reboot (not after a restart of the service), "
        f"because {folder} is kept in memory only: mount a partition there"
    )


def _in_memory(path: Path, mounts: list[_Mount]) -> bool:
    found = _mount_of(path, mounts)
    if found is None or found.kind != "overlay":
        return found is not None and found.kind in _IN_MEMORY
    upper = re.search(r"(?:^|,)upperdir=([^,]*)", found.options)
    if upper is None:  # nothing can be written
        return False
    changes = _mount_of(Path(_plain(upper[1])), mounts)
    return changes is not None and changes.kind in _IN_MEMORY


def _mount_of(path: Path, mounts: list[_Mount]) -> _Mount | None:
    """Return the mount that a path lies on; of several at one place the last hides the others."""
    above = [mount for mount in mounts if path.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point.parts), default=None)


def _mounts(text: str) -> list[_Mount]:
    """Read the lines of /proc/self/mountinfo, as proc_pid_mountinfo(5) describes them."""
    found = []
    for line in text.splitlines():
        place, _, source = line.partition(" - ")
        words, (kind, _, options) = place.split(" "), source.split(" ", 2)
        found.append(_Mount(Path(_plain(words[4])), kind, options))
    return found


def _plain(text: str) -> str:
    r"""Replace escapes such as \040, a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)

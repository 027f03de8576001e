"""Where the doctor looks, and for whom."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

SERVICE_USER = "serenbox"
"""The user of the unit `serenbox.service`."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders in which Linux shows the machine, and its configuration."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    run: Path = Path("/run")
    etc: Path = Path("/etc")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who wants to open a device or run a program."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, wanted: int, found: os.stat_result) -> bool:
        """Return whether a file's mode lets this person do it: 4 read, 2 write, 1 run, or sums.

        Root may do everything, even run a file that nobody may run.
        """
        if self.uid == 0:
            return True
        if self.uid == found.st_uid:
            shift = 6
        elif found.st_gid in self.groups:
            shift = 3
        else:
            shift = 0
        return found.st_mode >> shift & wanted == wanted

    def is_asking(self) -> bool:
        """Return whether this person runs the process."""
        return self.uid == os.geteuid()

    def closed(self, path: Path, wanted: int) -> Path | None:
        """Return what keeps this person from a file: a folder above it, or itself; else None.

        Args:
            path: The file; links are followed.
            wanted: As in `may`.

        Raises:
            OSError: It is not there, or the user of the process may not look.

        """
        real = path.resolve()
        for folder in reversed(real.parents):
            if not self.may(1, folder.stat()):
                return folder
        return None if self.may(wanted, real.stat()) else real


def person_in_question() -> Person:
    """Return the service's user if root asks and that user exists, else the user who asks."""
    if os.geteuid() == 0:
        try:
            entry = pwd.getpwnam(SERVICE_USER)
        except KeyError:
            pass
        else:
            groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
            return Person(entry.pw_name, entry.pw_uid, frozenset(groups))
    return Person(_own_name(), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())

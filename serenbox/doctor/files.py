"""Whether the service can get at a file that the settings name."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from serenbox.doctor.result import Result
from serenbox.doctor.roots import SERVICE_USER

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.doctor.roots import Person

HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - to warn of them
"""Folders that are hidden from the service, or replaced by others for it (`ProtectHome=`,
`PrivateTmp=`)."""

_FOLDER = "/etc/serenbox"


def is_hidden(path: Path, person: Person) -> bool:
    """Return whether a person is the service's user, and the service cannot see a file."""
    places = (os.path.abspath(path), os.path.realpath(path))  # noqa: PTH100 - keeps links
    return person.name == SERVICE_USER and any(place.startswith(HIDDEN) for place in places)


def copied(path: Path, folder: str, copy: str) -> tuple[str, str]:
    """Return what is wrong with a hidden file, and the command that copies it to where it is seen.

    Args:
        path: The file.
        folder: Where the copy goes.
        copy: The command, without `sudo` and the file.

    """
    real = os.path.realpath(path)  # the copy may take the place of a link to the file
    seen = (
        f"{path} is in a folder that the service cannot see: copy it, and name "
        f"{folder}/{os.path.basename(real)} in the settings"  # noqa: PTH119 - plain text
    )
    return seen, f"sudo {copy} {shlex.quote(real)}"


def only_here(path: Path, person: Person) -> str:
    """Return what is wrong with a name that is no full path; nothing for the user who asks.

    The service does not start in the folder from which somebody checks it.
    """
    if path.is_absolute() or person.is_asking():
        return ""
    full = os.path.abspath(path)  # noqa: PTH100 - keeps links
    return f"{path} is no full path, and the service starts in another folder: write {full}"


def as_readable(found: Result, path: Path, person: Person, edit: str = "") -> Result:
    """Return the result of a check of a file, or a failure if a person cannot read that file.

    Args:
        found: What the check, made by the user of the process, has found.
        path: The file or folder; it is there unless the check failed.
        person: Who is to read it.
        edit: The command that changes the configuration.

    """
    if found.state == "fail" or person.is_asking():
        return found
    if is_hidden(path, person):
        copy = "cp -r" if path.is_dir() else "install -m 644"
        return Result(found.name, "fail", *copied(path, _FOLDER, f"{copy} -t {_FOLDER}"))
    if seen := only_here(path, person):
        return Result(found.name, "fail", seen, edit)
    closed = person.closed(path, 5 if path.is_dir() else 4)
    if closed is None:
        return found
    seen = f"{person.name} may not read {path}: {closed} is closed to that user"
    what = "a+rx" if closed.is_dir() else "a+r"
    return Result(found.name, "fail", seen, f"sudo chmod {what} {shlex.quote(str(closed))}")

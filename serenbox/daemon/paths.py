"""Where the service keeps its lock, its control socket and what it remembers."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serenbox.errors import ServiceError, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_RUNTIME = Path("/run/serenbox")
"""The runtime directory of the system service, `RuntimeDirectory=serenbox`."""

SYSTEM_STATE = Path("/var/lib/serenbox")
"""The state directory of the system service, `StateDirectory=serenbox`."""

_PRIVATE = 0o700


class Paths(NamedTuple):
    """The files of one service."""

    runtime: Path
    """The folder for files that are gone after a reboot."""
    state: Path
    """The folder for files that are kept."""

    @property
    def lock(self) -> Path:
        """The lock file, held by the running service; names its process."""
        return self.runtime / "lock"

    @property
    def socket(self) -> Path:
        """Where `serenbox pause`, `resume` and `status` reach the service."""
        return self.runtime / "control"

    @property
    def paused(self) -> Path:
        """Exists while the service is paused, so that it stays paused after a restart."""
        return self.state / "paused"

    @property
    def history(self) -> Path:
        """The database of the history; exists if that is or was turned on."""
        return self.state / "history.db"


def service_paths(environment: Mapping[str, str] | None = None) -> Paths:
    """Return where this process would keep its files as a service; creates nothing.

    Args:
        environment: Variables to use instead of the process's own.

    """
    environment = os.environ if environment is None else environment
    return Paths(_runtime(environment), _state(environment))


def socket_candidates(environment: Mapping[str, str] | None = None) -> list[Path]:
    """Return where a running service may listen: this user's first, then the system's.

    A folder of another user is left out: anybody might be listening there.
    """
    environment = os.environ if environment is None else environment
    own = _runtime(environment)
    folders = [own, SYSTEM_RUNTIME] if _may_be_ours(own) else [SYSTEM_RUNTIME]
    return list(dict.fromkeys(Paths(folder, folder).socket for folder in folders))


def state_candidates() -> list[Path]:
    """Return where a service may keep its state: this user's first, then the system's."""
    return list(dict.fromkeys((_state(os.environ), SYSTEM_STATE)))


def make_runtime_folder(folder: Path) -> None:
    """Create the folder, for this user alone, if it is missing.

    Raises:
        ServiceError: It cannot be created, is not a folder, or belongs to another user, who could
            then pose as the service.

    """
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ServiceError(
            f"the runtime folder {folder} cannot be made ({reason_of(error)}): make it writable, "
            "or name another in the environment variable RUNTIME_DIRECTORY"
        ) from error
    if not _is_ours(found):
        raise ServiceError(
            f"the runtime folder {folder} belongs to another user or is not a folder: remove it, "
            "or name another in the environment variable RUNTIME_DIRECTORY"
        )


def _may_be_ours(folder: Path) -> bool:
    """Return whether a folder is missing, or belongs to this user or root."""
    try:
        return _is_ours(folder.lstat())
    except OSError:
        return True


def _is_ours(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid in {os.geteuid(), 0}


def _runtime(environment: Mapping[str, str]) -> Path:
    if given := _first(environment.get("RUNTIME_DIRECTORY")):
        return given
    if session := environment.get("XDG_RUNTIME_DIR"):
        return Path(session) / "serenbox"
    return Path(f"/tmp/serenbox-{os.getuid()}")  # noqa: S108 - the owner is checked


def _state(environment: Mapping[str, str]) -> Path:
    if given := _first(environment.get("STATE_DIRECTORY")):
        return given
    if home := environment.get("XDG_STATE_HOME"):
        return Path(home) / "serenbox"
    return Path(environment.get("HOME") or "/") / ".local" / "state" / "serenbox"


def _first(folders: str | None) -> Path | None:
    """Return the first of the folders that systemd lists, separated by colons."""
    return Path(folders.split(":", 1)[0]) if folders else None

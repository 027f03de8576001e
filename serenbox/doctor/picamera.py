"""Check of picamera2, which apt installs and SerenBox's environment must let through."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

from serenbox.cameras.listing import import_picamera2
from serenbox.doctor.result import Result
from serenbox.errors import CameraError
from serenbox.installed import INSTALL_AGAIN, SERVICE, in_environment

_SYSTEM_PYTHON = "/usr/bin/python3"
_SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
"""Where apt puts packages for the system's Python."""


def check_picamera2() -> Result:
    """Import picamera2; no camera is opened."""
    try:
        import_picamera2()
    except CameraError as error:
        return Result("picamera2", "fail", str(error), _mend(error.__cause__))
    return Result("picamera2", "ok", "can be imported")


def _mend(cause: BaseException | None) -> str:
    """Return the command that removes what keeps picamera2 from being imported."""
    if isinstance(cause, ModuleNotFoundError):
        missing = (cause.name or "picamera2").partition(".")[0]  # or one that picamera2 imports
        if not (any(_SYSTEM_PACKAGES.glob(missing)) or any(_SYSTEM_PACKAGES.glob(f"{missing}.*"))):
            return "sudo apt install python3-picamera2"
        return INSTALL_AGAIN if Path(sys.prefix) == SERVICE else _let_system_packages_in()
    if not _has_own_numpy():
        return "sudo apt full-upgrade"
    if Path(sys.prefix) == SERVICE:
        return INSTALL_AGAIN
    return in_environment("-m pip uninstall numpy")


def _let_system_packages_in() -> str:
    words = "-m venv --system-site-packages"
    if sys.prefix != sys.base_prefix and sys.base_prefix == "/usr":  # the environment stays
        return in_environment(f"{words} --without-pip {shlex.quote(sys.prefix)}", _SYSTEM_PYTHON)
    return f"{_SYSTEM_PYTHON} {words} ~/serenbox-venv  # then install SerenBox there"


def _has_own_numpy() -> bool:
    """Return whether another numpy than the system's is imported."""
    found = importlib.util.find_spec("numpy")
    return found is not None and not Path(found.origin or "").is_relative_to(_SYSTEM_PACKAGES)

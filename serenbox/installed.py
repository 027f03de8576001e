"""Which SerenBox this is, and how to install it again."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

SERVICE = Path("/opt/serenbox")
"""Where `systemd/install.sh` puts the program."""

INSTALL_AGAIN = "sudo systemd/install.sh"
"""The command, in the checkout, that brings everything the service needs."""


@cache
def installed_version() -> str:
    """Return the version that pip has installed; `unknown` in a mere checkout."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("serenbox")
    except PackageNotFoundError:
        return "unknown"


def install_command(extra: str = "") -> str:
    """Return the command, for SerenBox's checkout, that brings what is missing here.

    It names a folder and not the package: no package index has a SerenBox, and what somebody might
    put there under this name is not to be run.

    Args:
        extra: What is needed beyond the rest, an extra of `pyproject.toml`.

    """
    if Path(sys.prefix) == SERVICE and extra in {"", "web"}:
        return INSTALL_AGAIN
    return pip_install(f"'.[{extra}]'" if extra else ".")


def pip_install(what: str) -> str:
    """Return the command that installs something for the Python that runs here.

    Args:
        what: A package or a folder, quoted for a shell.

    """
    import shlex  # here, for most who start have nothing to install

    sudo = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{sudo}{shlex.quote(sys.executable)} -m pip install {what}"


def how_to_install(extra: str = "") -> str:
    """Return `install_command` as the end of a sentence."""
    return f"run `{install_command(extra)}` in SerenBox's checkout"

"""The version of SerenBox, and how to install what is missing."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

SERVICE = Path("/opt/serenbox")
"""Where `systemd/install.sh` puts the program."""

INSTALL_AGAIN = "sudo systemd/install.sh"
"""The command, to run in the checkout, that installs everything the service needs."""


@cache
def installed_version() -> str:
    """Return the version that pip has installed; `unknown` if it has installed none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("serenbox")
    except PackageNotFoundError:
        return "unknown"


def install_command(extra: str = "") -> str:
    """Return the command, for SerenBox's checkout, that installs what is missing here.

    It names a folder and not the package: SerenBox is on no package index, and whatever somebody
    might publish there under this name must not be run.

    Args:
        extra: The extra of `pyproject.toml` that is needed, if any.

    """
    if Path(sys.prefix) == SERVICE and extra in {"", "web"}:
        return INSTALL_AGAIN
    return pip_install(f"'.[{extra}]'" if extra else ".")


def pip_install(what: str) -> str:
    """Return the command that installs something for the running Python.

    Args:
        what: A package or a folder, quoted for a shell.

    """
    return in_environment(f"-m pip install {what}")


def in_environment(words: str, python: str | None = None) -> str:
    """Return the command that runs a Python to change the environment of the running one.

    Args:
        words: What comes after the name of the Python, quoted for a shell.
        python: The Python to run; the running one if None.

    """
    import shlex  # imported here: most runs have nothing to install

    sudo = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{sudo}{shlex.quote(python or sys.executable)} {words}"


def how_to_install(extra: str = "") -> str:
    """Return `install_command` as the end of a sentence."""
    return f"run `{install_command(extra)}` in SerenBox's checkout"

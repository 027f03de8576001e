"""What systemd says of the unit, and where additions to it go."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenbox.doctor.roots import Roots

UNIT = "serenbox.service"

DROP_INS = f"/etc/systemd/system/{UNIT}.d"
"""Where additions to the unit are."""


def runs_here(roots: Roots) -> bool:
    """Tell whether systemd runs this machine, as sd_booted(3) does."""
    return (roots.run / "systemd" / "system").is_dir()


def ask_systemctl(*words: str) -> str:
    """Return what `systemctl` prints with these words and the unit; empty where it cannot say."""
    program = shutil.which("systemctl")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if program is not None:
            return subprocess.run(  # noqa: S603
                [program, *words, UNIT], capture_output=True, text=True, timeout=10, check=False
            ).stdout.strip()
    return ""


def command_that_adds(line: str, name: str) -> str:
    """Return the command that adds a line to the unit, as a drop-in of that name."""
    return (
        f"printf '[Service]\\n{line}\\n' "
        f"| sudo install -D -m 644 /dev/stdin {DROP_INS}/{name}.conf "
        f"&& sudo systemctl daemon-reload && sudo systemctl restart {UNIT}"
    )

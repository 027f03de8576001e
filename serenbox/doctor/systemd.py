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
"""The folder of additions to the unit."""


def runs_here(roots: Roots) -> bool:
    """Return whether systemd runs this machine, as sd_booted(3) does."""
    return (roots.run / "systemd" / "system").is_dir()


def ask_properties(*names: str) -> dict[str, str]:
    """Return properties of the unit by name; those that systemd does not report are left out."""
    lines = _ask("systemctl", "show", "--property", ",".join(names), UNIT).splitlines()
    return {
        name: value for name, equals, value in (line.partition("=") for line in lines) if equals
    }


def last_words() -> str:
    """Return the last line that the unit's processes logged; empty where it cannot be read."""
    # By this field, because --unit also gives systemd's own lines, which follow every end.
    words = ("--quiet", "--no-pager", "--output=cat", "--lines=1", f"_SYSTEMD_UNIT={UNIT}")
    return _ask("journalctl", *words).rpartition("\n")[2]


def _ask(name: str, *words: str) -> str:
    program = shutil.which(name)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if program is not None:
            command = [program, *words]
            return subprocess.run(  # noqa: S603
                command,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=10,
                check=False,
            ).stdout.strip()
    return ""


def command_that_adds(line: str, name: str) -> str:
    """Return the command that adds a line to the unit, as a drop-in of that name."""
    return (
        f"printf '[Service]\\n{line}\\n' "
        f"| sudo install -D -m 644 /dev/stdin {DROP_INS}/{name}.conf "
        f"&& sudo systemctl daemon-reload && sudo systemctl restart {UNIT}"
    )

"""Find the commit that the code comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path

PACKED = "COMMIT"
"""The file that names the commit of code packed for use outside git."""


def git_commit() -> str | None:
    """Return the commit of the checkout, with `-dirty` if files differ; None outside git.

    Code packed by `training/vertex/setup.sh` carries the commit of the checkout it came from.
    """
    folder = Path(__file__).parent
    packed = folder / PACKED
    if packed.is_file():
        return packed.read_text("ascii").strip() or None
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

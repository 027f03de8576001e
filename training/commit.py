"""Which commit the code is of."""

from __future__ import annotations

import subprocess
from pathlib import Path

PACKED = "COMMIT"
"""The file in which code that was packed outside git carries its commit."""


def git_commit() -> str | None:
    """Name the commit of the checkout, with `-dirty` where files differ; None outside git.

    What `training/vertex/setup.sh` packs knows it from the checkout that it was packed from.
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

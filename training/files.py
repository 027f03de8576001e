"""Write files so that nobody ever finds a half-written one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from training.errors import RunError

CHECKPOINT = "checkpoint.npz"
"""The state of an unfinished run, in its folder."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step: a reader sees the old or the new, never a part.

    Raises:
        RunError: it cannot be written there.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as folder:
            temporary = Path(folder) / path.name
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}; choose another folder or make room"
        raise RunError(msg) from error

"""Writes a file so that nobody ever finds a part of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or leave what is there as it is.

    Raises:
        OSError: It cannot be written.

    """
    hidden = path.with_name(f".serenbox-{os.urandom(8).hex()}.tmp")
    try:
        with hidden.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)

"""Folders that the tests themselves may not look into, also where root runs them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Close a folder to this process, which is not root meanwhile: import nothing in there."""
    folder.chmod(0)
    try:
        with acting_as(os.geteuid() or NOBODY):
            yield
    finally:
        folder.chmod(0o700)


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Let this process have the rights of a user meanwhile: import nothing in there."""
    before = os.geteuid()
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(before)

"""Plots that a tool draws: checked before the work, and written whole."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from serenbox.cli.common import UsageError
from serenbox.errors import reason_of
from serenbox.installed import pip_install
from serenbox.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path


def check_plot(path: Path) -> None:
    """Check, before the work, that the plot can be drawn and has a place to go.

    Raises:
        UsageError: matplotlib is missing, the name does not end in .png, or its folder is missing.

    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f"--plot needs matplotlib, which is not installed: {_remedy()}")
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: the plot is a PNG file: give it a name that ends in .png")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}: make it, or name another")


def _remedy() -> str:
    # apt's matplotlib may not work with pip's NumPy, nor apt's picamera2 with a newer NumPy.
    import numpy as np

    command = pip_install(f"'matplotlib>=3.9' numpy=={np.__version__}")
    return f"run `{command}`"


def write_plot(path: Path, content: bytes) -> None:
    """Write the picture.

    Raises:
        UsageError: It cannot be written.

    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise UsageError(
            f"{path}: the plot cannot be written ({reason_of(error)}): name another file"
        ) from error

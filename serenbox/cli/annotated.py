"""Where annotated pictures go: checked before the work begins, and never over another file."""

from __future__ import annotations

import os
from pathlib import Path

from serenbox.cli.common import UsageError
from serenbox.errors import reason_of


def prepare_folder(folder: Path) -> None:
    """Create the folder if it does not exist, and check that files can be created in it.

    Raises:
        UsageError: It cannot be created or written to.

    """
    probe = folder / f".serenbox-{os.urandom(8).hex()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"{folder}: annotated pictures cannot be written there ({reason_of(error)}): "
            "name a writable folder"
        ) from error


def free_path(folder: Path, name: str) -> Path:
    """Return a free path in the folder for a picture of this name.

    If the name is taken, a number is added: photo.jpg, photo-2.jpg, photo-3.jpg. A picture in a
    format that is not written becomes a PNG.
    """
    from serenbox.images import WRITABLE_SUFFIXES

    original = Path(name)
    suffix = original.suffix if original.suffix.lower() in WRITABLE_SUFFIXES else ".png"
    path, number = folder / f"{original.stem}{suffix}", 2
    while os.path.lexists(path):
        path, number = folder / f"{original.stem}-{number}{suffix}", number + 1
    return path

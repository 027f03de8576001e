"""Where annotated pictures go: checked before the work begins, and never over another file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.cli.common import UsageError
from serenbox.errors import ImageError, reason_of

if TYPE_CHECKING:
    from serenbox.pixels import Pixels


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


def write_annotated(folder: Path, name: str, image: Pixels) -> Path:
    """Write a picture under a free name in the folder, and return its path.

    If the name is taken, a number is added: photo.jpg, photo-2.jpg, photo-3.jpg. A picture in a
    format that is not written becomes a PNG. No other file is replaced, not even one that another
    run writes at the same time.

    Args:
        folder: An existing folder.
        name: The name of the original.
        image: Pixels (height, width, 3), uint8, BGR.

    Raises:
        ImageError: It cannot be written.

    """
    from serenbox.images import WRITABLE_SUFFIXES, write_image

    original = Path(name)
    suffix = original.suffix if original.suffix.lower() in WRITABLE_SUFFIXES else ".png"
    path, number = folder / f"{original.stem}{suffix}", 2
    hidden = folder / f".serenbox-{os.urandom(8).hex()}{suffix}"
    try:
        write_image(hidden, image)
        while not _give_name(hidden, path):
            path, number = folder / f"{original.stem}-{number}{suffix}", number + 1
    except ImageError as error:
        message = str(error).removeprefix(os.fspath(hidden))
        raise ImageError(f"{path}{message}") from error.__cause__
    except OSError as error:
        raise ImageError(
            f"{path}: it cannot be written ({reason_of(error)}): rename the picture or "
            "choose another folder"
        ) from error
    finally:
        hidden.unlink(missing_ok=True)
    return path


def _give_name(hidden: Path, path: Path) -> bool:
    """Return whether the file now has this name too, or this name alone: false if it is taken."""
    try:
        path.hardlink_to(hidden)
    except FileExistsError:
        return False
    except OSError:  # some file systems, such as FAT, have no links
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return False
        hidden.replace(path)
    return True

"""The output file: checked before the long work, and replaced atomically at the end."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import InputError
from serenbox.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_KERAS = (".keras", ".h5")


def check_writable(out: Path, model: Path) -> None:
    """Make sure that `out` can be written, without touching what is there.

    Raises:
        InputError: It cannot be written, it is the model itself or another file that is no
            .tflite, or its name is that of a Keras model.

    """
    if out.is_dir():
        raise InputError(f"{out} is a folder: give the name of the .tflite file to write")
    if out.exists() and model.exists() and out.samefile(model):
        raise InputError(f"{out} is the model to convert: give another name for the result")
    if out.suffix.lower() in _KERAS:
        raise InputError(
            f"{out} is named like a Keras model, but the second name is that of the .tflite to "
            "write: convert one model at a time, and give a name that ends in .tflite"
        )
    try:
        if out.exists() and not _may_be_replaced(out):
            raise InputError(
                f"{out} exists and is not a .tflite file, so it is not overwritten: give another "
                "name, or remove it first"
            )
        with tempfile.NamedTemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({reason_of(error)}): give a path in a folder that exists "
            "and may be written to"
        ) from error


def _may_be_replaced(path: Path) -> bool:
    """Return whether what is there is a .tflite file or empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(8)
    return not start or start[4:] == b"TFL3"


@contextmanager
def replaced_when_good(out: Path) -> Iterator[Path]:
    """Yield a temporary file beside `out` that replaces it if the block succeeds.

    Otherwise the temporary file is removed and `out` stays as it was.

    Raises:
        InputError: The file cannot be written.

    """
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=".convert-")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp lets only the owner read
        temporary.replace(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {reason_of(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)

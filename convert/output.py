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


def check_writable(out: Path, model: Path) -> None:
    """Make sure that `out` can be written, without touching what is there.

    Raises:
        InputError: It cannot be written, or it is the model itself.

    """
    if out.is_dir():
        raise InputError(f"{out} is a folder: give the name of the .tflite file to write")
    if out.exists() and model.exists() and out.samefile(model):
        raise InputError(f"{out} is the model to convert: give another name for the result")
    try:
        with tempfile.NamedTemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({reason_of(error)}): give a path in a folder that exists "
            "and may be written to"
        ) from error


@contextmanager
def replaced_when_good(out: Path) -> Iterator[Path]:
    """Yield a temporary file beside `out` that replaces it if the block succeeds.

    Otherwise the temporary file is removed and `out` stays as it was.

    Raises:
        InputError: The file cannot be written.

    """
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
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

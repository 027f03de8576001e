"""Suppress TensorFlow's messages, which mean nothing to the user."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.cli.common import check_output

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTORS = (1, 2)
"""File descriptors of stdout and stderr."""


class _Nowhere(io.TextIOBase):
    """Discards text. Nobody closes it, as loggers that are made inside the block keep it."""

    def write(self, text: str, /) -> int:
        """Discard text."""
        return len(text)


_NOWHERE = _Nowhere()


def check_streams() -> None:
    """Make sure that there is somewhere to print to, whatever the names of files.

    With standard error closed, messages are discarded: `print` would put them among the results.

    Raises:
        OutputError: Standard output is closed.

    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open until the end
    check_output()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def quiet() -> Iterator[None]:
    """Discard everything written to stdout and stderr inside the block, even by C++ libraries.

    TensorFlow and its converter write to the file descriptors directly, and no single setting
    silences them, so the descriptors themselves are redirected. Python warnings are silenced as
    well, and for good whatever a logger writes that took its stream inside the block. Do not print
    to the user inside the block; exceptions pass through.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in _DESCRIPTORS]
    with Path(os.devnull).open("wb") as device, ExitStack() as stack:
        for original in kept:
            stack.callback(os.close, original)
        for original, descriptor in zip(kept, _DESCRIPTORS, strict=True):
            stack.callback(os.dup2, original, descriptor)
            os.dup2(device.fileno(), descriptor)
        stack.enter_context(redirect_stdout(_NOWHERE))
        stack.enter_context(redirect_stderr(_NOWHERE))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def import_tensorflow() -> None:
    """Import TensorFlow, and Keras running on it, silently.

    Raises:
        ImportError: They are not installed, or Keras already runs on another back-end.

    """
    # Both variables are read only at the first import.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        import keras
        import tensorflow as tf  # noqa: F401 - imported here to be silenced
    if keras.backend.backend() != "tensorflow":
        raise ImportError(f"Keras already runs on {keras.backend.backend()} in this process")

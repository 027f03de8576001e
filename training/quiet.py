"""Keeps TensorFlow's chatter away from the person who waits for an answer."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTORS = (1, 2)
"""Of stdout and stderr."""


@contextmanager
def quiet() -> Iterator[None]:
    """Send everything that is written to stdout and stderr to nowhere, C++ libraries included.

    TensorFlow and its converter write to the file descriptors directly and heed no single setting,
    so the descriptors themselves are turned away. Python warnings are silenced as well. Say
    nothing to a person inside; exceptions pass through.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in _DESCRIPTORS]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, ExitStack() as stack:
        for original in kept:
            stack.callback(os.close, original)
        for original, descriptor in zip(kept, _DESCRIPTORS, strict=True):
            stack.callback(os.dup2, original, descriptor)
            os.dup2(nowhere.fileno(), descriptor)
        stack.enter_context(redirect_stdout(nowhere))
        stack.enter_context(redirect_stderr(nowhere))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, on TensorFlow, without a word.

    Raises:
        ImportError: They are not installed, or Keras already runs on something else.

    """
    # Both are read at the first import only.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        import keras
        import tensorflow as tf  # noqa: F401 - loaded here so that it is silent
    if keras.backend.backend() != "tensorflow":
        raise ImportError(f"Keras already runs on {keras.backend.backend()} in this process")

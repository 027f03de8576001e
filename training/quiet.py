"""Keeps TensorFlow's chatter away from the person who waits for an answer."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet() -> Iterator[None]:
    """Send everything that is written to stdout and stderr to nowhere, C++ libraries included.

    TensorFlow and its converter write to the file descriptors directly and heed no single setting,
    so the descriptors themselves are turned away. Python warnings are silenced as well. Say
    nothing to a person inside; exceptions pass through.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        with tempfile.TemporaryFile() as nowhere, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for descriptor in (1, 2):
                os.dup2(nowhere.fileno(), descriptor)
            try:
                yield
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                for descriptor, original in zip((1, 2), kept, strict=True):
                    os.dup2(original, descriptor)
    finally:
        for original in kept:
            os.close(original)


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, on TensorFlow, without a word.

    Raises:
        ImportError: They are not installed.

    """
    # Both are read at the first import only.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        import keras  # noqa: F401
        import tensorflow as tf  # noqa: F401

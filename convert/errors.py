"""The errors that `python -m convert` reports as one sentence, each with its exit code."""

from __future__ import annotations

from typing import ClassVar


class ConversionError(Exception):
    """Base class of the errors that are reported to the user without a traceback."""

    exit_code: ClassVar[int] = 2


class InputError(ConversionError, ValueError):
    """A model, data set, path or option cannot be used as given."""


class RefusedError(ConversionError):
    """The model cannot be converted, or the result is not fit to be shipped."""

    exit_code: ClassVar[int] = 1

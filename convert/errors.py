"""The errors that `python -m convert` reports as one sentence, each with its exit code."""

from __future__ import annotations

from typing import ClassVar


class ConversionError(Exception):
    """The base of every error that the converter reports to a person, without a traceback."""

    exit_code: ClassVar[int] = 2


class InputError(ConversionError, ValueError):
    """A model, data set, path or option cannot be used as given."""


class RefusedError(ConversionError):
    """The conversion worked, but its result is not fit to be shipped."""

    exit_code: ClassVar[int] = 1

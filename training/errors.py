"""The errors that the training tools report to a person, without a traceback."""

from __future__ import annotations

from serenbox.errors import reason_of


class TrainingError(Exception):
    """The base of every error that `python -m training` reports as one sentence."""


class DataError(TrainingError, ValueError):
    """A data set cannot be read or is not what it claims to be."""


class RunError(TrainingError, ValueError):
    """A training run cannot start, resume or be evaluated with what it was given."""


class TerminatedError(BaseException):
    """SIGTERM was received; like KeyboardInterrupt, it must not be caught as an ordinary error."""


def terminate(*_: object) -> None:
    """Handle SIGTERM.

    Raises:
        TerminatedError: Always.

    """
    raise TerminatedError


def refusal_of(error: OSError) -> str:
    """Return a sentence about what the operating system refused, for errors nobody foresaw."""
    place = f"{error.filename}: " if error.filename is not None else ""
    return f"{place}{reason_of(error)}: check the paths, their permissions and the room on the disk"

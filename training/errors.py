"""The errors that the training tools report to a person, without a traceback."""

from __future__ import annotations


class TrainingError(Exception):
    """The base of every error that `python -m training` reports as one sentence."""


class DataError(TrainingError, ValueError):
    """A data set cannot be read or is not what it claims to be."""


class RunError(TrainingError, ValueError):
    """A training run cannot start, resume or be evaluated with what it was given."""

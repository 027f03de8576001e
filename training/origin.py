"""Identify a run's files by their content, as the file at a path may change."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.files import RECORD

if TYPE_CHECKING:
    from training.fit_settings import FitSettings

MODEL_SHA256 = "model_sha256"
"""The key of a run's record that says whose record it is."""

Origin = dict[str, str | list[str | None] | None]
"""SHA-256 by name; None if there is no such file, or none is needed."""


def origin_of(settings: FitSettings) -> Origin:
    """Hash the files of the initial weights and the teachers.

    Raises:
        RunError: A file cannot be read.

    """
    return {
        "weights_sha256": _sha256(settings.weights),
        "teacher_sha256": [_sha256(teacher) for teacher in settings.teacher],
    }


def is_record_of(model: Path, record: dict[str, Any]) -> bool:
    """Return whether a run's record is that of a model file.

    The records of older runs do not say whose they are, and are believed.

    Raises:
        RunError: The model cannot be read.

    """
    named = record.get(MODEL_SHA256)
    return named is None or named == _sha256(str(model))


def is_class_prior(prior: object) -> bool:
    """Return whether a run's record gives each emotion a share that can be put back."""
    return (
        isinstance(prior, dict)
        and set(prior) == set(EMOTIONS)
        and all(isinstance(share, float | int) and 0 < share < math.inf for share in prior.values())
    )


def check_teacher(path: Path, settings: FitSettings) -> None:
    """Reject a teacher whose answers do not mean the same as the student's.

    A network without its run's record beside it is accepted, as nothing is known about it.

    Raises:
        RunError: The teacher was trained with other labels or another balance, or cannot be read.

    """
    try:
        record = json.loads((path.parent / RECORD).read_bytes())
        taught = dict(record["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not is_record_of(path, record):
        return
    for name in ("label_set", "balance"):
        value = taught.get(name)
        if value is not None and value != getattr(settings, name):
            option = "--labels" if name == "label_set" else f"--{name}"
            msg = (
                f"--teacher {path} was trained with {option} {value}, and this run has "
                f"{getattr(settings, name)}: take a teacher that was trained the same way"
            )
            raise RunError(msg)


def _sha256(name: str) -> str | None:
    path = Path(name)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"{path} cannot be read: {reason_of(error)}; make sure that you may read it"
        raise RunError(msg) from error

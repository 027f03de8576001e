"""Which files a run began with: their content, for a path may hold another file tomorrow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import RunError
from training.files import RECORD

if TYPE_CHECKING:
    from training.fit_settings import FitSettings

Origin = dict[str, str | list[str | None] | None]
"""SHA-256 by name; None where there is no such file, or none is needed."""


def origin_of(settings: FitSettings) -> Origin:
    """Hash the files of start weights and teachers.

    Raises:
        RunError: One cannot be read.

    """
    return {
        "weights_sha256": _sha256(settings.weights),
        "teacher_sha256": [_sha256(teacher) for teacher in settings.teacher],
    }


def check_teacher(path: Path, settings: FitSettings) -> None:
    """Refuse a teacher whose answers mean something else than those of the student.

    Of a network without its run's record beside it nothing is known, and it is taken.

    Raises:
        RunError: It has learnt other labels, or with another balance.

    """
    try:
        taught = dict(json.loads((path.parent / RECORD).read_bytes())["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in ("label_set", "balance"):
        value = taught.get(name)
        if value is not None and value != getattr(settings, name):
            option = "--labels" if name == "label_set" else f"--{name}"
            msg = (
                f"--teacher {path} was trained with {option} {value}, and this run has "
                f"{getattr(settings, name)}: take a teacher that was trained alike"
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
        msg = f"{path} cannot be read: {error.strerror}; see that you may read it"
        raise RunError(msg) from error

"""Where a model comes from: what its training run recorded, and the class prior it learnt under."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError
from convert.options import USUAL_PART
from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.data import training_faces
from training.files import RECORD
from training.origin import is_class_prior, is_record_of

if TYPE_CHECKING:
    from training.data import Faces, LabelSet

_KEPT = ("settings", "training_faces", "commit")
"""The keys of a run's record that go into the model file."""


def read_run(model: Path) -> dict[str, Any]:
    """Read the record of the run that made a model; empty if there is none beside it.

    Raises:
        InputError: The record is damaged or that of another model.
        RunError: The model cannot be read.

    """
    path = model.parent / RECORD
    if not path.is_file():
        return {}
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({reason_of(error)}): restore it or remove it"
        ) from error
    if not isinstance(run, dict) or not is_class_prior(run.get("class_prior")):
        raise InputError(
            f"{path}: class_prior must give each of {', '.join(EMOTIONS)} a number above 0: "
            "restore the file or remove it"
        )
    if not is_record_of(model, run):
        raise InputError(
            f"{path} is the record of another model: convert {model.name} from a folder with its "
            "own record, or with none"
        )
    return run


def describe_run(run: dict[str, Any]) -> dict[str, Any] | None:
    """Return the part of a run's record that belongs in a public model file; None if empty."""
    kept = {key: run[key] for key in _KEPT if key in run}
    settings = kept.get("settings")
    if isinstance(settings, dict) and "weights" in settings:
        # A path on somebody's disk is private.
        kept["settings"] = {**settings, "weights": _file_names(settings["weights"])}
    return kept or None


def _file_names(paths: Any) -> Any:
    """Return the file name of a path, or of each in a list where networks were averaged."""
    if isinstance(paths, list):
        return [_file_names(path) for path in paths]
    return Path(str(paths)).name


def class_prior(
    run: dict[str, Any], faces: Faces, label_set: LabelSet, labels: tuple[str, ...]
) -> tuple[float, ...]:
    """Return the share of each label in the model's training; the shares sum to 1.

    Args:
        run: From `read_run`; if it is empty, the targets of the Training split are counted.
        faces: The whole data set.
        label_set: Whose labels those targets are.
        labels: The model's labels, in the order wanted.

    Raises:
        DataError: The Training split has no usable face of some class.

    """
    shares: dict[str, float] = run.get("class_prior", {})
    if not shares:
        targets = training_faces(faces, label_set).targets(label_set)
        means = targets.mean(axis=0, dtype=np.float64)
        shares = dict(zip(EMOTIONS, means.tolist(), strict=True))
    total = sum(shares.values())
    return tuple(shares[label] / total for label in labels)


def kept_out(run: dict[str, Any]) -> float | None:
    """Return how much of the class prior training kept out of the logits, 0 to 1, if that is known.

    Args:
        run: From `read_run`.

    Raises:
        InputError: The record holds an impossible value.

    """
    settings = run.get("settings")
    if not isinstance(settings, dict):
        return None
    balance = settings.get("balance", 1.0)
    if not isinstance(balance, float | int) or not 0 <= balance <= 1:
        raise InputError(
            f"{RECORD}: settings.balance is {balance!r}, and must be a number from 0 to 1: "
            "restore the file or remove it"
        )
    return float(balance)


def chosen_exponent(asked: float | None, run: dict[str, Any]) -> float:
    """Return how much of the class prior to put back, 0 to 1.

    Args:
        asked: The value of the option; None for the default.
        run: From `read_run`.

    Raises:
        InputError: `asked` is more than training kept out, or the record holds an impossible value.

    """
    most = kept_out(run)
    if asked is None:
        return round(USUAL_PART * (most or 0.0), 4)
    if most is not None and asked > most:
        raise InputError(
            f"--prior-exponent {asked:g} is more of the class prior than training kept out of the "
            f"logits (--balance {most:g}): give {most:g} or less"
        )
    return asked

"""Keep a run's whole state after every epoch, so that it can go on after a sudden end."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from training.errors import RunError
from training.files import CHECKPOINT

if TYPE_CHECKING:
    from pathlib import Path


def save_checkpoint(
    folder: Path,
    model: keras.Model,
    history: list[dict[str, float]],
    settings: dict[str, Any],
) -> None:
    """Write weights, optimizer state, the history so far and the run's settings into `folder`."""
    path = folder / CHECKPOINT
    temporary = path.with_suffix(".part.npz")
    np.savez(
        temporary,
        history=np.array(json.dumps(history)),
        settings=np.array(json.dumps(settings)),
        **{f"weight_{i}": value for i, value in enumerate(model.get_weights())},
        **{
            f"optimizer_{i}": keras.ops.convert_to_numpy(variable)
            for i, variable in enumerate(model.optimizer.variables)
        },
    )
    temporary.replace(path)


def load_checkpoint(
    folder: Path, model: keras.Model, settings: dict[str, Any]
) -> list[dict[str, float]]:
    """Fill a compiled model and its optimizer in place from `folder`.

    Returns:
        The history so far, one row per whole epoch.

    Raises:
        RunError: there is no checkpoint, or the run began with other settings.

    """
    path = folder / CHECKPOINT
    if not path.is_file():
        msg = f"{folder} has no checkpoint to resume from; start without --resume"
        raise RunError(msg)
    model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path) as arrays:
            _check_settings(json.loads(str(arrays["settings"])), settings)
            model.set_weights(_numbered(arrays, "weight"))
            for variable, value in zip(
                model.optimizer.variables, _numbered(arrays, "optimizer"), strict=True
            ):
                variable.assign(value)
            history: list[dict[str, float]] = json.loads(str(arrays["history"]))
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        msg = f"{path} is damaged ({error}); start again in another folder"
        raise RunError(msg) from error
    return history


def _check_settings(began: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [
        f"{name} was {began.get(name)}, not {value}"
        for name, value in now.items()
        if began.get(name) != value
    ]
    if changed:
        msg = f"the run began with other settings: {'; '.join(changed)}; resume it with those"
        raise RunError(msg)


def _numbered(arrays: Any, prefix: str) -> list[Any]:
    count = sum(name.startswith(f"{prefix}_") for name in arrays.files)
    return [arrays[f"{prefix}_{i}"] for i in range(count)]

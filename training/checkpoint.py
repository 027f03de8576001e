"""Keep a run's whole state after every epoch, so that it can go on after a sudden end."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.errors import RunError

NAME = "checkpoint.npz"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step: a reader sees the old or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary = Path(file.name)
    temporary.chmod(0o644)
    temporary.replace(path)


def save_checkpoint(folder: Path, model: keras.Model, history: list[dict[str, float]]) -> None:
    """Write weights, optimizer state and the history so far into `folder`."""
    path = folder / NAME
    temporary = path.with_suffix(".part.npz")
    np.savez(
        temporary,
        history=np.array(json.dumps(history)),
        **{f"weight_{i}": value for i, value in enumerate(model.get_weights())},
        **{
            f"optimizer_{i}": keras.ops.convert_to_numpy(variable)
            for i, variable in enumerate(model.optimizer.variables)
        },
    )
    temporary.replace(path)


def load_checkpoint(folder: Path, model: keras.Model) -> list[dict[str, float]]:
    """Fill a compiled model and its optimizer in place from `folder`.

    Returns:
        The history so far, one row per whole epoch.

    Raises:
        RunError: there is no checkpoint, or it is of another network.
    """
    path = folder / NAME
    if not path.is_file():
        msg = f"{folder} has no checkpoint to resume from; start without --resume"
        raise RunError(msg)
    model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path) as arrays:
            model.set_weights(_numbered(arrays, "weight"))
            for variable, value in zip(
                model.optimizer.variables, _numbered(arrays, "optimizer"), strict=True
            ):
                variable.assign(value)
            history: list[dict[str, float]] = json.loads(str(arrays["history"]))
    except (OSError, ValueError, KeyError, EOFError) as error:
        msg = f"{path} does not fit this run ({error}); resume with the arguments it began with"
        raise RunError(msg) from error
    return history


def _numbered(arrays: Any, prefix: str) -> list[Any]:
    count = sum(name.startswith(f"{prefix}_") for name in arrays.files)
    return [arrays[f"{prefix}_{i}"] for i in range(count)]

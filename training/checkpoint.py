"""Save a run's whole state after every epoch, so that it can be resumed after a sudden end."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from serenbox.errors import reason_of
from training.errors import RunError
from training.files import CHECKPOINT, write_atomically
from training.fit_settings import OLDER_RUNS

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = ("weights_sha256", "teacher_sha256")
"""The settings that identify the files a run started from; see `training.origin`."""

_OPEN = ("data", *ORIGIN)
"""The settings of a run that may be unknown when it is resumed."""


def save_checkpoint(
    folder: Path,
    model: keras.Model,
    history: list[dict[str, float]],
    settings: dict[str, Any],
) -> None:
    """Write weights, optimizer state, the history so far and the run's settings into `folder`.

    `settings` hold everything that must be unchanged when the run is resumed, the data included.

    Raises:
        RunError: it cannot be written; the previous checkpoint stays as it was.

    """
    content = io.BytesIO()
    np.savez(
        content,
        history=np.array(json.dumps(history)),
        settings=np.array(json.dumps(settings)),
        **_number("weight", model.weights),
        **_number("optimizer", model.optimizer.variables),
        **_number("chance", _chance(model)),
    )
    write_atomically(folder / CHECKPOINT, content.getvalue())


def load_checkpoint(
    folder: Path, model: keras.Model, settings: dict[str, Any]
) -> list[dict[str, float]]:
    """Fill a compiled model and its optimizer in place from `folder`.

    The hashes in `settings` of the files the run started from are replaced by the recorded ones.

    Returns:
        The history so far, one row per whole epoch.

    Raises:
        RunError: there is no checkpoint, the run began with other settings, or another version of
            the network wrote it.

    """
    arrays = _read(folder)
    _check_settings(arrays, settings)
    model.optimizer.build(model.trainable_variables)
    for prefix, variables in (
        ("weight", model.weights),
        ("optimizer", model.optimizer.variables),
        ("chance", _chance(model)),
    ):
        for number, variable in enumerate(variables):
            try:
                variable.assign(arrays[f"{prefix}_{number}"])
            except (KeyError, ValueError) as error:
                msg = (
                    f"{folder / CHECKPOINT} does not fit this network, so another version of Keras "
                    "or of this code wrote it: resume with that one, or start in another folder"
                )
                raise RunError(msg) from error
    rows: list[dict[str, float]] = json.loads(str(arrays["history"]))
    began = json.loads(str(arrays["settings"]))
    settings.update({name: began.get(name) for name in ORIGIN})
    return rows


def check_same_run(folder: Path, settings: dict[str, Any]) -> None:
    """Make sure that the run in `folder` has these settings.

    Raises:
        RunError: it has other settings, or its checkpoint cannot be read.

    """
    _check_settings(_read(folder), settings)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / CHECKPOINT
    if not path.is_file():
        msg = f"{folder} has no checkpoint to resume from; start without --resume"
        raise RunError(msg)
    try:
        with np.load(path) as archive:
            arrays = dict(archive)
        for name in ("settings", "history"):
            json.loads(str(arrays[name]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        msg = f"{path} is damaged ({reason_of(error)}); start again in another folder"
        raise RunError(msg) from error
    return arrays


def _check_settings(arrays: dict[str, Any], now: dict[str, Any]) -> None:
    wanted = json.loads(json.dumps(now))
    began = {**OLDER_RUNS, **json.loads(str(arrays["settings"]))}
    for name in _OPEN:
        began[name] = _known(began.get(name), wanted.get(name))
    changed = [
        f"{name} was {began.get(name)}, not {value}"
        for name, value in wanted.items()
        if began.get(name) != value
    ]
    if changed:
        msg = f"the run began with other settings: {'; '.join(changed)}; resume it with those"
        raise RunError(msg)


def _known(began: Any, wanted: Any) -> Any:
    """Return what a run began with, or what is wanted if either is unknown.

    Older checkpoints lack some settings, and a file may be gone by now. Lists of the same length
    are treated member by member.
    """
    if isinstance(began, list) and isinstance(wanted, list) and len(began) == len(wanted):
        return [_known(*pair) for pair in zip(began, wanted, strict=True)]
    return wanted if began is None or wanted is None else began


def _chance(model: keras.Model) -> list[Any]:
    """Return the state of every random generator in a model, which its weights leave out."""
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    return [layer.seed_generator.state for layer in dropouts if layer.rate > 0]


def _number(prefix: str, variables: list[Any]) -> dict[str, Any]:
    return {
        f"{prefix}_{i}": keras.ops.convert_to_numpy(variable)
        for i, variable in enumerate(variables)
    }

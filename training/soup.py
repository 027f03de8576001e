"""Average several networks into one: the mean weights of runs that started from the same network.

Networks fine-tuned from the same weights end in the same valley of the loss, whose middle is better
than its rim. The mean gives much of the gain of an ensemble at the cost of one network (model
soups: Wortsman et al. 2022, arXiv 2203.05482; a network and its fine-tuned version: arXiv
2109.01903).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.augment import TrainingBatches
from training.checkpoint import ORIGIN
from training.commit import git_commit
from training.data import training_faces
from training.errors import RunError
from training.files import CHECKPOINT, MODEL, RECORD, check_writable, write_atomically
from training.fit_settings import Augmentation, FitSettings
from training.network import load_network
from training.origin import MODEL_SHA256
from training.record import model_content, read_record, versions
from training.statistics import estimate_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data import Faces


BATCHES = 60
"""Maximum number of batches from which the statistics are estimated."""

_ALIKE = ("label_set", "size", "backbone", "alpha", "balance")
"""The settings that must not differ; of the others, the record lists all values."""

_PRIOR_TOLERANCE = 0.1
"""Relative difference allowed in a class's prior, enough for a few faces more or less. It moves a
balanced logit by a tenth."""


def average_runs(runs: list[Path], faces: Faces, out: Path) -> None:
    """Write the mean of finished runs, with statistics of its own, in the form of a run.

    If `out` already holds that mean, it stays as it is. The statistics are estimated from faces
    augmented as in the last of the runs.

    Args:
        runs: Folders written by `fit`, with model.keras and run.json.
        faces: All faces they were trained with.
        out: Folder for model.keras and run.json, which has a list where the runs' settings differ.

    Raises:
        RunError: A run is not finished or is itself a mean; the runs differ in shape, labels,
            balance, data or class prior; or `out` holds a run of `fit` or another model, or cannot
            be written.
        DataError: There are no votes.

    """
    if _holds_mean(out, runs):
        return
    records = [read_record(run) for run in runs]
    for run, record in zip(runs, records, strict=True):
        _check_alike(run, record, runs[0], records[0])
    if records[0]["data_sha256"] != faces.sha256:
        msg = f"{runs[0]} was not trained on the data given with --data and --ferplus"
        raise RunError(msg)
    check_writable(out)
    networks = [load_network(run / MODEL, "the model") for run in runs]
    weights = zip(*(network.get_weights() for network in networks), strict=True)
    networks[0].set_weights([np.mean(values, axis=0) for values in weights])
    estimate_statistics(networks[0], _batches(runs[-1], records[-1], faces))
    content = model_content(networks[0])
    record = _record(records, runs, content)
    # The model is written last, so that an interruption leaves nothing that looks finished.
    write_atomically(out / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    write_atomically(out / MODEL, content)


def _record(records: list[dict[str, Any]], runs: list[Path], content: bytes) -> dict[str, Any]:
    """Return the record of a mean, whose .keras file has this content."""
    prior = np.mean([_prior(record) for record in records], axis=0)
    return {
        **records[-1],
        "settings": _merged([each["settings"] for each in records]),
        "class_prior": dict(zip(EMOTIONS, prior.tolist(), strict=True)),
        "training_faces": _merged([each.get("training_faces") for each in records]),
        **{name: _merged([each.get(name) for each in records]) for name in ORIGIN},
        "averaged": _hashes(runs),
        MODEL_SHA256: hashlib.sha256(content).hexdigest(),
        "seconds": sum(each["seconds"] for each in records),
        "commit": git_commit(),
        "versions": versions(),
        "machines": 1,
    }


def _holds_mean(out: Path, runs: list[Path]) -> bool:
    """Return whether `out` holds the mean of these runs; refuse a folder that holds another model.

    A record alone is what an interruption has left of a mean.
    """
    if (out / CHECKPOINT).exists():
        msg = f"{out} holds a run of `fit`; give --out another folder"
        raise RunError(msg)
    finished = (out / MODEL).exists()
    if finished or (out / RECORD).exists():
        _check_made_of(out, runs)
    return finished


def _check_made_of(out: Path, runs: list[Path]) -> None:
    """Make sure that the model in `out`, or the record alone, is the mean of these runs."""
    try:
        made_of = read_record(out).get("averaged")
    except RunError:
        made_of = None
    if made_of is None or made_of != _hashes(runs):
        msg = f"{out} already holds another model or its {RECORD}; give --out another folder"
        raise RunError(msg)


def _hashes(runs: list[Path]) -> list[str]:
    try:
        return [hashlib.sha256((run / MODEL).read_bytes()).hexdigest() for run in runs]
    except OSError as error:
        msg = f"{error.filename} cannot be read ({reason_of(error)}): name folders of finished runs"
        raise RunError(msg) from error


def _batches(run: Path, record: dict[str, Any], faces: Faces) -> Iterator[NDArray[np.float32]]:
    """Yield batches augmented as in a run with this record."""
    settings = record["settings"]
    try:
        settings = FitSettings(
            **{name: settings[name] for name in ("label_set", "size", "batch_size")},
            augmentation=Augmentation(**settings["augmentation"]),
        )
    except (KeyError, TypeError, RunError) as error:
        msg = f"{run / RECORD} does not say how the faces were varied ({error}): restore it"
        raise RunError(msg) from error
    train = training_faces(faces, settings.label_set)
    batches = TrainingBatches(
        train.images,
        train.targets(settings.label_set),
        size=settings.size,
        batch_size=settings.batch_size,
        augmentation=settings.augmentation,
        seed=0,
        epoch=0,
    )
    for index in range(min(BATCHES, len(batches))):
        yield batches[index][0]


def _merged(values: list[Any]) -> Any:
    """Return the common value, or the list of values if they differ; merge dicts key by key."""
    if all(value == values[0] for value in values):
        return values[0]
    if all(isinstance(value, dict) for value in values):
        keys = dict.fromkeys(key for value in values for key in value)
        return {key: _merged([value.get(key) for value in values]) for key in keys}
    return values


def _check_alike(run: Path, record: dict[str, Any], first: Path, wanted: dict[str, Any]) -> None:
    if "averaged" in record:
        msg = f"{run} is itself a mean: name the runs that it was made of"
        raise RunError(msg)
    for name, mine, other in (
        *((key, record["settings"].get(key), wanted["settings"].get(key)) for key in _ALIKE),
        ("data", record["data_sha256"], wanted["data_sha256"]),
    ):
        if mine != other:
            raise _differing(run, first, name)
    if not np.allclose(_prior(record), _prior(wanted), rtol=_PRIOR_TOLERANCE, atol=0):
        raise _differing(run, first, "class prior")


def _differing(run: Path, first: Path, name: str) -> RunError:
    return RunError(
        f"{run} and {first} differ in their {name}: they cannot be averaged into one network"
    )


def _prior(record: dict[str, Any]) -> NDArray[np.float64]:
    """Return the (7,) class prior of a run."""
    return np.array([record["class_prior"][emotion] for emotion in EMOTIONS])

"""One network of several: the mean of the weights of runs that differ in their seed alone.

Networks trained from the same weights with other seeds end in the same valley, and the middle of it
is better than its rim: much of what an ensemble gives, at the price of one network (model soups:
Wortsman et al. 2022, arXiv 2203.05482).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from training.data import training_faces
from training.errors import RunError
from training.files import MODEL, RECORD, write_atomically
from training.network import load_network
from training.record import read_record, write_model
from training.statistics import estimate_statistics

if TYPE_CHECKING:
    from pathlib import Path

    from training.data import Faces


def average_runs(runs: list[Path], faces: Faces, out: Path) -> None:
    """Write the mean of finished runs, with statistics of its own, as if it were a run.

    Args:
        runs: Folders of `fit`, with model.keras and run.json.
        faces: All faces they were trained with.
        out: Folder for model.keras and run.json, whose seed is the list of the runs' seeds.

    Raises:
        RunError: A run is not finished, they differ in more than their seed, the data are others,
            or `out` holds a model already or cannot be written.
        DataError: There are no votes.

    """
    if (out / MODEL).exists():
        msg = f"{out} already holds a finished model; give --out another folder"
        raise RunError(msg)
    records = [read_record(run) for run in runs]
    first = records[0]
    for run, record in zip(runs, records, strict=True):
        _check_alike(runs[0], first, run, record)
    if first["data_sha256"] != faces.sha256:
        msg = f"{runs[0]} was trained with other data than --data and --ferplus name"
        raise RunError(msg)
    networks = [load_network(run / MODEL, "the model") for run in runs]
    weights = zip(*(network.get_weights() for network in networks), strict=True)
    networks[0].set_weights([np.mean(values, axis=0) for values in weights])
    settings = first["settings"]
    images = training_faces(faces, settings["label_set"]).images
    estimate_statistics(networks[0], images, settings["batch_size"], seed=0)
    write_model(networks[0], out / MODEL)
    record = {
        **first,
        "settings": {**settings, "seed": [each["settings"]["seed"] for each in records]},
        "averaged": [hashlib.sha256((run / MODEL).read_bytes()).hexdigest() for run in runs],
        "seconds": sum(each["seconds"] for each in records),
    }
    write_atomically(out / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def _check_alike(first: Path, wanted: dict[str, Any], run: Path, record: dict[str, Any]) -> None:
    for key in ("settings", "class_prior", "data_sha256"):
        mine, other = dict(record[key]), dict(wanted[key])
        mine.pop("seed", None), other.pop("seed", None)
        differing = sorted(name for name in {*mine, *other} if mine.get(name) != other.get(name))
        if differing:
            msg = (
                f"{run} and {first} differ in {', '.join(differing)}: only runs that differ in "
                "their seed alone can be averaged"
            )
            raise RunError(msg)

"""From what annotators say on average to what most of them say.

A network that learns the shares of the votes puts first the emotion with the largest mean share.
That is not always the one that wins most often: an emotion that is either plain or absent wins more
often than one that gets two votes from everybody, and where votes are tied the truth is the first
of them in the order of `EMOTIONS`. A constant added to each logit, fitted on the training faces,
takes the one to the other (bias-corrected temperature scaling, Alexandari et al. 2020,
arXiv 1901.06852, of which the temperature is left to the conversion).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.results import EMOTIONS
from training.data import training_faces
from training.errors import RunError
from training.files import MODEL, RECORD, write_atomically
from training.network import load_network
from training.predict import keras_logits
from training.record import read_record, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data import Faces

SHIFT = "majority_shift"
"""The member of a run's record that tells what was added to the logits."""

_RIDGE = 1e-4
"""Weight of the squared offsets: without it they would be free to rise all together."""
_STEPS = 50


def fit_shift(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what must be added to logits so that they tell the truth's likelihood best.

    The scores softmax(sharpness * (logits + shift)) get the largest likelihood, over both.

    Args:
        logits: (n, k), the prior of the classes already added.
        truth: (n,) index of the right class.

    Returns:
        (k,) with a mean of 0.

    """
    rows, classes = np.shape(logits)
    parameters = np.append(np.zeros(classes), 1.0)  # offsets, sharpness
    # Seven offsets and a sharpness are a convex problem; Newton's method needs few steps.
    for _ in range(_STEPS):
        scores = _softmax(parameters[-1] * logits + parameters[:-1])
        error = (scores - np.eye(classes)[truth]) / rows
        # How each parameter moves each logit: (n, k, parameters).
        moves = np.concatenate(
            [np.broadcast_to(np.eye(classes), (rows, classes, classes)), logits[..., np.newaxis]],
            axis=2,
        )
        ridge = np.append(np.full(classes, 2 * _RIDGE), 0.0)
        gradient = np.einsum("nk,nkp->p", error, moves) + ridge * parameters
        centred = moves - np.einsum("nk,nkp->np", scores, moves)[:, np.newaxis]
        curvature = np.einsum("nk,nkp,nkq->pq", scores / rows, moves, centred) + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        parameters -= step
        if np.abs(step).max() < 1e-9:
            break
    shift = parameters[:-1] / parameters[-1]
    return np.asarray(shift - shift.mean())


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def shift_to_majority(run: Path, faces: Faces, out: Path) -> dict[str, float]:
    """Write the network of a finished run, its logits shifted, as if it were a run.

    Args:
        run: Folder of `fit` or `average`, with model.keras and run.json.
        faces: All faces it was trained with.
        out: Folder for model.keras and run.json.

    Returns:
        What was added to the logit of each emotion.

    Raises:
        RunError: The run is not finished, was shifted before, learnt FER2013's one label or other
            data, or `out` holds a model already or cannot be written.
        DataError: There are no votes.

    """
    if (out / MODEL).exists():
        msg = f"{out} already holds a finished model; give --out another folder"
        raise RunError(msg)
    record = read_record(run)
    _check(run, record, faces)
    network = load_network(run / MODEL, "the model")
    train = training_faces(faces, "ferplus")
    prior = np.array([record["class_prior"][emotion] for emotion in EMOTIONS])
    balance = record["settings"].get("balance", 1.0)
    logits = keras_logits(network, train.images, network.input_shape[1])
    shift = fit_shift(logits + balance * np.log(prior), train.truth("ferplus"))
    head = network.get_layer("logits")
    kernel, bias = head.get_weights()
    head.set_weights([kernel, bias + shift])
    named = dict(zip(EMOTIONS, shift.round(4).tolist(), strict=True))
    digest = hashlib.sha256((run / MODEL).read_bytes()).hexdigest()
    write_model(network, out / MODEL)
    whole = {**record, SHIFT: named, "shifted": digest}
    write_atomically(out / RECORD, (json.dumps(whole, indent=2) + "\n").encode())
    return named


def _check(run: Path, record: dict[str, Any], faces: Faces) -> None:
    if record["settings"].get("label_set") != "ferplus":
        msg = f"{run} learnt FER2013's one label of each face, which has no majority to shift to"
    elif record["data_sha256"] != faces.sha256:
        msg = f"{run} was trained with other data than --data and --ferplus name"
    elif SHIFT in record:
        msg = f"{run} was shifted already"
    else:
        return
    raise RunError(msg)

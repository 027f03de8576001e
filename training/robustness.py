"""Measure how well a model copes with faces that are moved, resized, turned, small, dark or noisy.

The device never frames a face exactly as FER2013 does, and a camera adds the rest. Each trial
changes all faces of a split in one way, and passes them to the model through the device's own
preprocessing.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from serenbox.results import EMOTIONS
from training.augment import WHITE, affine
from training.evaluate import usable_faces
from training.labels import FACE_SIZE
from training.metrics import measure
from training.predict import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data import Faces, LabelSet

    Images = NDArray[np.uint8]


class Change(NamedTuple):
    """One way of changing faces."""

    unit: str
    """What the amounts measure, and in which unit."""
    amounts: tuple[float, ...]
    """The amounts to try, in ascending order; `plain` is among them."""
    plain: float
    """The amount that changes nothing."""
    apply: Callable[[Images, float], Images]
    """Changes (n, 48, 48) faces."""


class Trial(NamedTuple):
    """The figures of a model on changed faces."""

    change: str
    """One of `CHANGES`."""
    amount: float
    accuracy: float
    macro_recall: float


def _warped(
    images: Images, *, degrees: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> Images:
    matrix = affine(FACE_SIZE, flip=False, degrees=degrees, scale=scale, shift=shift)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (FACE_SIZE, FACE_SIZE)
    return np.stack(
        [
            cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for image in images
        ]
    ).astype(np.uint8)


def _as_small_as(images: Images, side: int) -> Images:
    """Resample faces as if a camera had captured them at `side` pixels."""
    way = cv2.INTER_AREA if side < FACE_SIZE else cv2.INTER_LINEAR
    back = cv2.INTER_LINEAR if side < FACE_SIZE else cv2.INTER_AREA
    seen = (cv2.resize(image, (side, side), interpolation=way) for image in images)
    size = (FACE_SIZE, FACE_SIZE)
    return np.stack([cv2.resize(image, size, interpolation=back) for image in seen]).astype(
        np.uint8
    )


def _clipped(images: NDArray[np.floating[Any]]) -> Images:
    return np.asarray(np.clip(images, 0, WHITE).round(), np.uint8)


def _noisy(images: Images, deviation: float) -> Images:
    rng = np.random.default_rng(0)
    return _clipped(images + rng.normal(0, deviation, images.shape))


CHANGES = {
    "shift across": Change(
        "share of the side",
        (-0.1, -0.05, 0.0, 0.05, 0.1),
        0.0,
        lambda images, amount: _warped(images, shift=(-amount, 0)),
    ),
    "shift down": Change(
        "share of the side",
        (-0.1, -0.05, 0.0, 0.05, 0.1),
        0.0,
        lambda images, amount: _warped(images, shift=(0, -amount)),
    ),
    "scale": Change(
        "times",
        (0.8, 0.9, 1.0, 1.1, 1.2),
        1.0,
        lambda images, amount: _warped(images, scale=amount),
    ),
    "rotation": Change(
        "degrees",
        (-20, -10, 0, 10, 20),
        0,
        lambda images, amount: _warped(images, degrees=amount),
    ),
    "face size": Change(
        "pixels",
        (16, 20, 24, 32, 48, 64, 96),
        48,
        lambda images, amount: _as_small_as(images, int(amount)),
    ),
    "brightness": Change(
        "grey levels added",
        (-60, -30, 0, 30, 60),
        0,
        lambda images, amount: _clipped(images + float(amount)),
    ),
    "noise": Change("grey levels, standard deviation", (0, 4, 8, 12, 16), 0, _noisy),
}
"""The changes of `python -m training robustness`."""


def try_changes(
    model: Path, faces: Faces, label_set: LabelSet, prior_exponent: float | None = None
) -> Iterator[Trial]:
    """Yield a trial for each amount of each change.

    Args:
        model: A .keras or .tflite file.
        faces: The faces of one split; those without an emotion in `label_set` are left out.
        label_set: Whose labels are the truth.
        prior_exponent: How much class prior to put back, 0 to what training kept out, in place of
            the model's own.

    Raises:
        RunError: The model cannot be read, or the exponent does not fit it.
        DataError: No face has an emotion in `label_set`.

    """
    if label_set == "ferplus":
        faces = faces[usable_faces(faces)]
    truth = faces.truth(label_set)
    loaded = load_model(model, prior_exponent=prior_exponent)
    for name, change in CHANGES.items():
        for amount in change.amounts:
            prediction = loaded.predict(change.apply(faces.images, amount))
            figures = measure(prediction.scores, truth, EMOTIONS)
            yield Trial(name, amount, figures.accuracy, figures.macro_recall)


def largest_drop(trials: Sequence[Trial]) -> tuple[float, Trial]:
    """Return the largest drop in accuracy from that on unchanged faces, and its trial."""
    plain = {
        trial.change: trial.accuracy
        for trial in trials
        if trial.amount == CHANGES[trial.change].plain
    }
    return max((plain[trial.change] - trial.accuracy, trial) for trial in trials)


def trials_csv(trials: Sequence[Trial]) -> str:
    """Return the trials as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["change", "unit", "amount", "accuracy", "macro_recall"])
    for trial in trials:
        unit = CHANGES[trial.change].unit
        figures = (f"{trial.accuracy:.4f}", f"{trial.macro_recall:.4f}")
        writer.writerow([trial.change, unit, f"{trial.amount:g}", *figures])
    return text.getvalue()

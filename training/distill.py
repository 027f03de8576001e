"""Distillation: what trained networks answer for the training faces, as targets to learn from.

Ten annotators' votes are a noisy sample of how people see a face. A trained network has seen many
alike, so its averaged answer, blended with the votes, is a smoother target (Hinton et al. 2015,
arXiv 1503.02531; with a teacher of the student's own shape, Furlanello et al. 2018,
arXiv 1805.04770).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.augment import affine
from training.network import load_network
from training.predict import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

VIEWS = tuple((flip, scale) for scale in (0.94, 1.06) for flip in (False, True))
"""Every face is looked at mirrored and not, a little smaller and a little larger."""


def teacher_targets(
    teachers: Sequence[str],
    images: NDArray[np.uint8],
    shift: NDArray[np.floating[Any]],
    report: Callable[[str], None],
) -> NDArray[np.float32]:
    """Average what the teachers say of each face over `VIEWS`.

    Args:
        teachers: `.keras` files that `fit` made with the same labels and balance.
        images: (n, 48, 48) faces.
        shift: (7,) what the balanced loss adds to logits, so that the answers keep the frequency
            of the classes.
        report: Called with a line of text before each teacher begins.

    Returns:
        (n, 7) distributions.

    Raises:
        RunError: A teacher cannot be read.

    """
    total = np.zeros((len(images), len(shift)), np.float64)
    for path in teachers:
        network = load_network(Path(path), "--teacher")
        report(f"asking the teacher {Path(path).name} about {len(images)} faces")
        for flip, scale in VIEWS:
            for start in range(0, len(images), BATCH):
                part = images[start : start + BATCH]
                pixels = _view(part, network.input_shape[1], flip=flip, scale=scale)
                logits = np.asarray(network.predict_on_batch(pixels), np.float64) + shift
                total[start : start + BATCH] += np.exp(
                    logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
                )
    return (total / (len(teachers) * len(VIEWS))).astype(np.float32)


def _view(images: NDArray[np.uint8], size: int, *, flip: bool, scale: float) -> NDArray[np.float32]:
    """Enlarge (n, 48, 48) faces to (n, size, size, 1) pixels, 0..255."""
    matrix = affine(size, flip=flip, degrees=0.0, scale=scale, shift=(0.0, 0.0))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    views = [
        cv2.warpAffine(
            image.astype(np.float32),
            matrix,
            (size, size),
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for image in images
    ]
    return np.stack(views)[..., np.newaxis].astype(np.float32)

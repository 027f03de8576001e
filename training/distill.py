"""Distillation: the answers of trained networks to the training faces, as targets to learn from.

Ten annotators' votes are a noisy sample of how people see a face. A trained network has seen many
similar faces, so its answer, blended with the votes, is a smoother target (Hinton et al. 2015,
arXiv 1503.02531; with a teacher of the student's own shape, Furlanello et al. 2018,
arXiv 1805.04770). The teacher sees the same picture as the student, augmented and blended: it has
memorised the training faces, but not these pictures (Beyer et al. 2022, arXiv 2106.05237). Only
blur and noise are kept from it, so that the student learns to answer in spite of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import keras
import numpy as np

from training.fused import fold
from training.network import load_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Teachers:
    """Trained networks whose averaged answers are blended into the targets.

    Args:
        paths: `.keras` files that `fit` made with the same labels and balance.
        shift: (7,) offsets that the balanced loss adds to logits, so that the answers keep the
            frequency of the classes.
        share: Share of the answers in the targets, 0 to 1.

    Raises:
        RunError: A teacher cannot be read.

    """

    def __init__(
        self, paths: Sequence[str], shift: NDArray[np.floating[Any]], share: float
    ) -> None:
        self._networks = [fold(load_network(Path(path), "--teacher")) for path in paths]
        self._shift = shift
        self._share = share

    def __call__(
        self, pixels: NDArray[np.float32], targets: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the (n, 7) targets with the answers to (n, size, size, 1) pixels blended in."""
        answers = np.mean([self._answers(network, pixels) for network in self._networks], axis=0)
        return np.asarray((1 - self._share) * targets + self._share * answers, np.float32)

    def _answers(self, network: keras.Model, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        seen = _resized(pixels, network.input_shape[1])
        if keras.distribution.distribution() is None:
            outputs = network.predict_on_batch(seen)
        else:  # `predict` would divide the batch among machines; it is already this one's part
            outputs = keras.ops.convert_to_numpy(network(seen, training=False))
        logits = np.asarray(outputs, np.float64) + self._shift
        log_scores = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return np.asarray(np.exp(log_scores), np.float64)


def _resized(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    if pixels.shape[1] == size:
        return pixels
    return np.stack([cv2.resize(face, (size, size)) for face in pixels])[..., np.newaxis]

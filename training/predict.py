"""Logits of many faces from a .keras or .tflite model, through the device's own preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from serenbox.crop import face_to_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 256


def model_inputs(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Enlarge (n, 48, 48) faces to (n, size, size, 1) exactly as the device does."""
    return np.stack([face_to_input(image, size, "grey") for image in images])


def keras_logits(
    model: keras.Model, images: NDArray[np.uint8], size: int
) -> NDArray[np.float32]:
    """Run (n, 48, 48) faces through a Keras model at `size`; gives (n, 7) logits."""
    parts = [
        keras.ops.convert_to_numpy(
            model.predict_on_batch(
                model_inputs(images[start : start + BATCH], size).astype(np.float32)
            )
        )
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts).astype(np.float32)

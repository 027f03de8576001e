"""Statistics of batch normalization, estimated anew once a network is trained.

During training they follow faces that are varied, blended and noisy, under weights that are not
those of the average that is kept. The box shows the network plain faces (precise batch statistics:
Wu & Johnson 2021, arXiv 2105.07576).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from serenbox.crop import face_to_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCHES = 100
"""How many batches are looked at, at most: more change nothing that can be measured."""


def estimate_statistics(
    network: keras.Model, faces: NDArray[np.uint8], batch_size: int, seed: int
) -> None:
    """Replace, in place, the moving statistics of every batch normalization.

    Args:
        network: Takes (n, size, size, 1) grey pixels, 0..255, of one fixed size.
        faces: (n, 48, 48) faces of the Training split.
        batch_size: Faces per batch.
        seed: Of the choice of faces.

    """
    layers = [
        layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    order = np.random.default_rng(seed).permutation(len(faces))
    size = network.input_shape[1]
    count = min(BATCHES, max(1, len(faces) // batch_size))
    for number in range(count):
        for layer in layers:
            layer.momentum = number / (number + 1)  # so the average weighs all batches alike
        chosen = faces[order[number * batch_size : (number + 1) * batch_size]]
        pixels = [face_to_input(face, size, "grey") for face in chosen]
        network(np.stack(pixels).astype(np.float32), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum

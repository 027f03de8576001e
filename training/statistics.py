"""Estimate batch normalization statistics for weights that are not the direct result of training.

The mean of several networks' weights needs statistics of its own (Izmailov et al. 2018, arXiv
1803.05407), from faces augmented like those that the networks were trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def estimate_statistics(network: keras.Model, batches: Iterable[NDArray[Any]]) -> None:
    """Replace, in place, the moving statistics of every batch normalization.

    Args:
        network: Its other weights stay as they are.
        batches: (b, size, size, 1) grey pixels, 0..255; all batches have equal weight.

    """
    layers = [
        layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for number, pixels in enumerate(batches):
        for layer in layers:
            layer.momentum = number / (number + 1)
        network(pixels, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum

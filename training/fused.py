"""Faster batch normalization: fused for training, folded away for inference.

Keras composes the training step of batch normalization from elementary operations, and on a CPU
MobileNetV2 then spends most of its time in them. The arithmetic here is the same, except for the
moving variance, which is the unbiased one (n - 1). Back-ends other than TensorFlow keep Keras's own
implementation.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # untyped
    """Keras's batch normalization over the last axis of (n, h, w, c), fused where possible."""

    statistics_frozen = False
    """Leave the moving statistics as they are."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:  # noqa: FBT001, FBT002 - Keras's signature
        """Normalize `inputs`, and update the moving statistics when training."""
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        if self.statistics_frozen:
            return outputs
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + ops.stop_gradient(batch) * (1 - self.momentum))
        return outputs


def fuse(network: keras.Model) -> keras.Model:
    """Copy a network, weights included, with every batch normalization fused."""

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.layers.BatchNormalization):
            return FusedBatchNormalization.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    fused = keras.models.clone_model(network, clone_function=clone)
    fused.set_weights(network.get_weights())
    return fused


class _Unchanged(keras.layers.Layer):  # type: ignore[misc] # keras ships no types
    """Identity in place of a folded batch normalization; like it, accepts a mask."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        del mask
        return inputs


def fold(network: keras.Model) -> keras.Model:
    """Copy a network with every batch normalization folded into the convolution before it.

    Args:
        network: Has the same inputs and outputs as its copy.

    Returns:
        A faster copy with the same answers up to rounding; it is not for training.

    """
    normalized = _normalized(network)
    dropped = {layer.name for layer in normalized.values()}

    def clone(layer: Any) -> Any:
        if layer.name in dropped:
            return _Unchanged(name=layer.name)
        config = layer.get_config()
        return layer.__class__.from_config(
            {**config, "use_bias": True} if layer.name in normalized else config
        )

    folded = keras.models.clone_model(network, clone_function=clone)
    for layer in network.layers:
        if layer.name in normalized:
            folded.get_layer(layer.name).set_weights(_folded(layer, normalized[layer.name]))
        elif layer.name not in dropped and layer.weights:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    return folded


def _normalized(network: keras.Model) -> dict[str, Any]:
    """Return the batch normalizations that follow a convolution, by the convolution's name."""
    found = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            before = layer.input._keras_history.operation  # noqa: SLF001 - Keras has no other way
            if isinstance(before, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
                found[before.name] = layer
    return found


def _folded(convolution: Any, normalization: Any) -> list[Any]:
    """Return kernel and bias that include the scale and offset of the normalization."""
    kernel, *bias = convolution.get_weights()
    gamma, beta, mean, variance = normalization.get_weights()
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    scaled = kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale)
    return [scaled, beta + ((bias[0] if bias else 0) - mean) * scale]

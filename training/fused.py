"""Batch normalization through TensorFlow's fused operation, which trains faster.

Keras composes the training step of batch normalization from elementary operations, and on a CPU
MobileNetV2 then spends most of its time in them. The arithmetic here is the same, but for the
moving variance, which is the unbiased one (n - 1). Other back-ends keep Keras's own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # untyped
    """Keras's batch normalization over the last axis of (n, h, w, c), fused where possible."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:  # noqa: FBT001, FBT002 - Keras's signature
        """Normalize `inputs`; updates the moving statistics when training."""
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
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

"""Sharpness-aware minimization: look for weights around which the loss stays low."""

from __future__ import annotations

from typing import Any

import keras

from training.errors import RunError
from training.fused import FusedBatchNormalization

_LEAST = 1e-12
"""Added to the norm of the gradients, so that nothing is divided by zero."""


def check_backend() -> None:
    """Make sure that `SharpnessAware` can be used.

    Raises:
        RunError: Keras does not run on TensorFlow.

    """
    if keras.backend.backend() != "tensorflow":
        msg = "--sharpness needs TensorFlow: set KERAS_BACKEND=tensorflow"
        raise RunError(msg)


class SharpnessAware(keras.Model):  # type: ignore[misc] # keras ships no types
    """A network whose training step follows the gradient at the worst point nearby.

    The step of Foret et al. 2021 (arXiv 2010.01412): the weights are moved by `radius`, measured
    by the L2 norm over all of them, along the gradient; the gradient there is applied to the
    weights as they were. So each step computes two gradients. Loss, metrics and the moving
    statistics of batch normalization are those of the first gradient.
    """

    def __init__(self, network: keras.Model, radius: float) -> None:
        """Share the layers of a functional `network`; Keras runs on TensorFlow."""
        super().__init__(inputs=network.inputs, outputs=network.outputs)
        self._radius = radius

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """Train on one batch of (n, size, size, 1) faces and their (n, 7) targets."""
        import tensorflow as tf

        faces, targets = data
        weights = self.trainable_weights
        answers, loss, gradients = self._gradients(faces, targets)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(faces)[0])
        factor = self._radius / (tf.linalg.global_norm(gradients) + _LEAST)
        kept = [tf.identity(weight.value) for weight in weights]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_add(gradient * factor)
        self._freeze_statistics(frozen=True)
        _, _, gradients = self._gradients(faces, targets)
        self._freeze_statistics(frozen=False)
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return dict(self.compute_metrics(faces, targets, answers))

    def _gradients(self, faces: Any, targets: Any) -> tuple[Any, Any, list[Any]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            answers = self(faces, training=True)
            loss = self.compute_loss(x=faces, y=targets, y_pred=answers)
        return answers, loss, tape.gradient(loss, self.trainable_weights)

    def _freeze_statistics(self, *, frozen: bool) -> None:
        """Take effect while the step is traced."""
        for layer in self.layers:
            if isinstance(layer, FusedBatchNormalization):
                layer.statistics_frozen = frozen

"""The loss: cross-entropy with soft targets, balanced over the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

if TYPE_CHECKING:
    from numpy.typing import NDArray


class BalancedCrossEntropy(keras.losses.Loss):  # type: ignore[misc] # keras ships no types
    """Balanced softmax (Ren et al. 2020, arXiv 2007.10740) against soft targets.

    The log of the class prior is added to the logits during training only, so that the network
    itself learns to answer as if all classes were equally frequent. An `exponent` below 1 adds
    only a part of it.
    """

    def __init__(self, prior: NDArray[np.float64], exponent: float = 1.0) -> None:
        """Take the (7,) class prior, summing to 1, and the exponent, 0..1."""
        super().__init__(name="balanced_cross_entropy")
        self.shift = (exponent * np.log(prior)).astype(np.float32)
        """(7,) offsets added to the logits."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the (n,) losses of (n, 7) logits against (n, 7) target distributions."""
        return ops.categorical_crossentropy(y_true, self._shifted(y_pred), from_logits=True)

    def accuracy(self, y_true: Any, y_pred: Any) -> Any:
        """Return (n,) 1.0 where the answer with the prior is the target's top class, else 0.0."""
        answer = ops.argmax(self._shifted(y_pred), axis=-1)
        return ops.cast(answer == ops.argmax(y_true, axis=-1), "float32")

    def _shifted(self, logits: Any) -> Any:
        return logits + ops.convert_to_tensor(self.shift)

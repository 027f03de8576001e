"""From logits to calibrated scores: the temperature, and the score each label needs to be named.

Pure numpy, no TensorFlow. All arrays have one row per face and one column per label, in the order
of the model's labels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEMPERATURES = (0.05, 20.0)
"""The range searched. Any trained network ends well inside it."""

LOWEST_THRESHOLD = 0.4
"""Below it an answer is worth little: measured on PublicTest, two of three are wrong."""

FEWEST_FACES = 20
"""With fewer, a precision is hardly known: a single face is 5 percentage points or more."""

UNMEASURED_THRESHOLD = 0.5
"""For a label that ranks first on fewer faces: it must at least be more likely than not."""

_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 60  # each shrinks the interval by the golden ratio: 1e-12 of it is left


def negative_log_likelihood(
    logits: NDArray[np.floating], truth: NDArray[np.int64], temperature: float
) -> float:
    """Return the mean of -log(probability given to the right label), in nats.

    Args:
        logits: (n, k).
        truth: (n,) index of the right label.
        temperature: Divides the logits; above 0.

    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    right = scaled[np.arange(len(truth)), truth]
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - right))


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Return the temperature at which the scores fit the truth best.

    Temperature scaling: Guo et al. 2017, arXiv 1706.04599.

    The negative log-likelihood has one minimum over the temperature; a golden-section search over
    its logarithm finds it.

    Args:
        logits: (n, k), any class prior already added.
        truth: (n,) index of the right label.

    """

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, truth, math.exp(log_temperature))

    low, high = (math.log(bound) for bound in TEMPERATURES)
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def fit_thresholds(
    scores: NDArray[np.floating],
    truth: NDArray[np.int64],
    *,
    target_precision: float,
    max_uncertain: float,
) -> NDArray[np.float64]:
    """Return the score each label needs to be named; below it the face is called uncertain.

    The rule, label by label, over the faces on which that label has the highest score: the lowest
    threshold from `LOWEST_THRESHOLD` on at which the named faces are right at least
    `target_precision` of the time, but never one that calls more than `max_uncertain` of them
    uncertain. Where that limit keeps the target out of reach, the threshold is as high as the limit
    allows. A label that ranks first on fewer than `FEWEST_FACES` faces gets `UNMEASURED_THRESHOLD`.

    Args:
        scores: (n, k) probabilities.
        truth: (n,) index of the right label.
        target_precision: Wanted share of right answers among the named faces, 0 to 1.
        max_uncertain: Largest share of a label's faces that may become uncertain, 0 to 1.

    Returns:
        (k,) thresholds, 0 to 1.

    """
    top = scores.argmax(axis=1)
    return np.array(
        [
            _threshold(
                scores[top == label, label].astype(np.float64),
                truth[top == label] == label,
                target_precision,
                max_uncertain,
            )
            for label in range(scores.shape[1])
        ]
    )


def _threshold(
    scores: NDArray[np.float64], right: NDArray[np.bool_], target: float, max_uncertain: float
) -> float:
    if len(scores) < FEWEST_FACES:
        return UNMEASURED_THRESHOLD
    order = np.argsort(scores, kind="stable")
    scores, right = scores[order], right[order]
    # Dropping the `dropped` lowest faces is possible only between two different scores.
    dropped = np.flatnonzero(np.diff(scores, prepend=-1.0) > 0)
    dropped = dropped[dropped <= max_uncertain * len(scores)]
    precision = np.cumsum(right[::-1])[::-1][dropped] / (len(scores) - dropped)
    reached = np.flatnonzero((precision >= target) & (scores[dropped] >= LOWEST_THRESHOLD))
    cut = int(dropped[reached[0] if len(reached) else -1])
    # Halfway between two scores, so that a rounding error on another machine changes nothing.
    halfway = float((scores[cut - 1] + scores[cut]) / 2) if cut else 0.0
    return max(halfway, LOWEST_THRESHOLD) if scores[cut] >= LOWEST_THRESHOLD else halfway

"""From the mean vote of the annotators to the vote of their majority.

A network that learns vote shares ranks first the emotion with the largest mean share. That is not
always the one that wins most often: an emotion that is either plain or absent wins more often than
one that gets two votes on every face, and a tie goes to the first emotion in the order of
`EMOTIONS`. A constant added to each logit, fitted on the training faces, corrects the difference
(bias-corrected temperature scaling, Alexandari et al. 2020, arXiv 1901.06852, of which
`convert.thresholds` fits the temperature).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RIDGE = 1e-4
"""Weight of the squared distance from no shift: it settles what the likelihood leaves open."""
_STEPS = 100
"""Newton's method needs about ten near the answer."""
_SETTLED = 1e-9
"""Stop after a step that changes no parameter by this much."""


def fit_shift(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the shift to add to the logits under which they fit the truth best.

    Sharpness and offsets maximise the likelihood of softmax(sharpness * logits + offsets); the
    shift is offsets / sharpness.

    Args:
        logits: (n, k), with the whole class prior added.
        truth: (n,) index of the right class.

    Returns:
        (k,) with a mean of 0.

    """
    rows, classes = np.shape(logits)
    # The derivative of each logit by each parameter, k offsets and the sharpness: (n, k, k + 1).
    each = np.broadcast_to(np.eye(classes), (rows, classes, classes))
    moves = np.concatenate([each, np.asarray(logits, np.float64)[..., np.newaxis]], axis=2)
    unmoved = np.append(np.zeros(classes), 1.0)
    parameters = unmoved

    def badness(parameters: NDArray[np.float64]) -> float:
        moved = moves @ parameters
        log_scores = moved - np.logaddexp.reduce(moved, axis=1, keepdims=True)
        distance = parameters - unmoved
        loss = -log_scores[np.arange(rows), truth].mean()
        return float(loss + _RIDGE * (distance @ distance) / 2)

    # The problem is convex, so Newton's method finds the only minimum; far from it, a step may be
    # too long.
    for _ in range(_STEPS):
        scores = _softmax(moves @ parameters)
        error = (scores - np.eye(classes)[truth]) / rows
        gradient = np.einsum("nk,nkp->p", error, moves) + _RIDGE * (parameters - unmoved)
        centred = moves - np.einsum("nk,nkp->np", scores, moves)[:, np.newaxis]
        curvature = np.einsum("nk,nkp,nkq->pq", scores / rows, moves, centred)
        step = np.linalg.solve(curvature + _RIDGE * np.eye(classes + 1), gradient)
        while badness(parameters - step) > badness(parameters) and np.abs(step).max() > _SETTLED:
            step = step / 2
        parameters = parameters - step
        if np.abs(step).max() < _SETTLED:
            break
    shift = parameters[:-1] / parameters[-1]
    return np.asarray(shift - shift.mean())


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))

"""From BlazeFace's raw output to boxes: anchors, decoding and non-maximum suppression.

Pure numpy. Everything is in units of the model's square input: 0 is its left or top edge, 1 its
right or bottom edge. A candidate is a row of 16 numbers: left, top, right, bottom, then the x and y
of the six keypoints of `serenbox.results.FaceLocation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

INPUT_SIZE = 128
"""Side of the input, in pixels; MediaPipe's `face_detection_short_range.pbtxt`, like all below."""

ANCHOR_GRIDS = ((16, 2), (8, 6))
"""The cells along a side, and the anchors in each cell: strides of 8 and of 16 pixels."""

SAME_FACE_OVERLAP = 0.3
"""Candidates whose intersection over union is larger than this show the same face."""

_LARGEST_LOGIT = 80.0
"""Keeps the exponential finite in float32; the score is 0 or 1 long before."""


def make_anchors() -> Floats:
    """Return the centre (x, y) of each anchor, (896, 2), in the order of the model's rows."""
    grids = []
    for cells, per_cell in ANCHOR_GRIDS:
        middles = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(middles, middles)
        centres = np.stack((x.ravel(), y.ravel()), axis=1)
        grids.append(np.repeat(centres, per_cell, axis=0))
    return np.concatenate(grids).astype(np.float32)


def decode(
    regressors: Floats, logits: Floats, anchors: Floats, min_score: float
) -> tuple[Floats, Floats]:
    """Return the candidates that reach `min_score`, and their scores.

    Args:
        regressors: (896, 16): centre x and y, width, height, then keypoint x and y, all in pixels
            of the input and, but for the size, relative to the anchor.
        logits: (896,), one for each anchor.
        anchors: What `make_anchors` returns.
        min_score: 0 to 1.

    Returns:
        Candidates (n, 16), and scores (n,) from `min_score` to 1.

    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)))
    chosen = np.flatnonzero(scores >= min_score)
    raw = regressors[chosen] / np.float32(INPUT_SIZE)
    centre, half = raw[:, 0:2] + anchors[chosen], raw[:, 2:4] / 2
    points = raw[:, 4:] + np.tile(anchors[chosen], 6)
    candidates = np.concatenate((centre - half, centre + half, points), axis=1)
    return candidates.astype(np.float32), scores[chosen].astype(np.float32)


def merge(candidates: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Make one candidate of all that show the same face (weighted non-maximum suppression).

    The strongest candidate takes in those that overlap it; the result is their average, weighted
    by score, which is steadier than the strongest alone. Its score is the strongest's.

    Args:
        candidates: (n, 16).
        scores: (n,).

    Returns:
        Candidates (m, 16) and scores (m,), strongest first.

    """
    left = np.argsort(-scores, kind="stable")
    faces, strengths = [], []
    while left.size:
        same = overlaps(candidates[left[0]], candidates[left]) > SAME_FACE_OVERLAP
        same[0] = True  # a box of no area overlaps nothing, not even itself
        cluster = left[same]
        faces.append(np.average(candidates[cluster], axis=0, weights=scores[cluster]))
        strengths.append(scores[left[0]])
        left = left[~same]
    return (
        np.array(faces, np.float32).reshape(-1, candidates.shape[1]),
        np.array(strengths, np.float32),
    )


def overlaps(candidate: Floats, others: Floats) -> Floats:
    """Return the intersection over union, 0 to 1, of one box with each of many."""
    top_left = np.maximum(candidate[:2], others[:, :2])
    bottom_right = np.minimum(candidate[2:4], others[:, 2:4])
    shared = np.prod(np.maximum(bottom_right - top_left, 0), axis=1)
    total = _area(candidate) + _area(others) - shared
    return np.asarray(np.divide(shared, total, out=np.zeros_like(shared), where=total > 0))


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:4] - boxes[..., :2], 0)
    return np.asarray(np.prod(sides, axis=-1), np.float32)

"""From BlazeFace's raw output to boxes: anchors, decoding and non-maximum suppression.

Pure numpy. Everything is in units of the model's square input: 0 is its left or top edge, 1 its
right or bottom edge. A candidate is a row of 16 numbers: left, top, right, bottom, then the x and y
of the six keypoints of `serenbox.results.FaceLocation`.
"""

from __future__ import annotations

import math
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from serenbox.overlap import SAME_FACE, overlap

if TYPE_CHECKING:
    import numpy.typing as npt

    from serenbox.overlap import Quad

    Floats = npt.NDArray[np.float32]
    _Candidate = tuple[float, Quad, list[float], list[float]]
    # Score, box, the network's row, and the anchor's centre.

INPUT_SIZE = 128
"""Side of the input, in pixels; like the anchors below, it comes from MediaPipe's
`face_detection_short_range.pbtxt`."""

ANCHOR_GRIDS = ((16, 2), (8, 6))
"""The cells along a side, and the anchors in each cell: strides of 8 and of 16 pixels."""

STILL_THERE = 0.1
"""The smallest intersection over union of a followed face's box with its previous one; below
`SAME_FACE`, because the face may have moved in between."""

_LOGITS = (-80.0, 15.0)
"""Below the first, the exponential is no longer finite in float32; above the second, the score is
nearly 1."""

_NO_AREA = np.float32(1e-12)
"""Prevents a division by zero for boxes without area, which overlap nothing."""


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
            of the input and, except for the size, relative to the anchor.
        logits: (896,), one for each anchor.
        anchors: What `make_anchors` returns.
        min_score: 0 to 1.

    Returns:
        Candidates (n, 16), and scores (n,) from `min_score` to 1.

    """
    # Few anchors come near the minimum: compute the exponential for those only.
    likely = np.flatnonzero(logits >= _lowest_logit(min_score))
    scores = 1 / (1 + np.exp(-logits[likely]))
    reached = scores >= min_score
    chosen = likely[reached]
    # Pairs: centre, size, six keypoints. Written in place: this runs on every frame.
    pairs = (regressors[chosen] / np.float32(INPUT_SIZE)).reshape(-1, 8, 2)
    half = pairs[:, 1] / 2
    pairs += anchors[chosen][:, np.newaxis]
    pairs[:, 1] = pairs[:, 0] + half
    pairs[:, 0] -= half
    return pairs.reshape(-1, 16), np.asarray(scores[reached], np.float32)


def merge(candidates: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Merge all candidates that show the same face into one (weighted non-maximum suppression).

    The strongest candidate absorbs those that overlap it; the result is their average, weighted
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
        same = overlaps(candidates[left[0]], candidates[left]) > SAME_FACE
        same[0] = True  # a box without area overlaps nothing, not even itself
        cluster = left[same]
        weights = scores[cluster]
        faces.append(weights @ candidates[cluster] / weights.sum())
        strengths.append(scores[left[0]])
        left = left[~same]
    return (
        np.array(faces, np.float32).reshape(-1, candidates.shape[1]),
        np.array(strengths, np.float32),
    )


def followed(
    regressors: Floats, logits: Floats, anchors: Floats, min_score: float, known: Quad
) -> tuple[list[float], float] | None:
    """Return the face that is nearest to where a known one was, as `decode` and `merge` would.

    For a dozen candidates, plain numbers are faster than arrays: right after the network has run,
    little of numpy's code is in the CPU cache.

    Args:
        regressors: As for `decode`, like the next three arguments.
        logits: (896,).
        anchors: (896, 2).
        min_score: 0 to 1.
        known: Left, top, right, bottom.

    Returns:
        The candidate, 16 numbers, and its score; None where none overlaps the known box by more
        than `STILL_THERE`.

    """
    (likely,) = (logits >= _lowest_logit(min_score)).nonzero()
    likely_logits = logits.take(likely).tolist()
    rows, centres = regressors.take(likely, 0).tolist(), anchors.take(likely, 0).tolist()
    candidates: list[_Candidate] = []
    for logit, row, centre in zip(likely_logits, rows, centres, strict=True):
        score = 1 / (1 + math.exp(-logit))
        if score >= min_score:
            across, down = centre[0] + row[0] / INPUT_SIZE, centre[1] + row[1] / INPUT_SIZE
            half, tall = row[2] / (2 * INPUT_SIZE), row[3] / (2 * INPUT_SIZE)
            box = (across - half, down - tall, across + half, down + tall)
            candidates.append((score, box, row, centre))
    return _nearest(candidates, known)


def _nearest(candidates: list[_Candidate], known: Quad) -> tuple[list[float], float] | None:
    """Return the merged face that is nearest to a known box, and its score; see `followed`.

    All faces are compared: a stronger one close beside it may overlap that box, too.
    """
    found, nearest = None, 0.0
    left = sorted(candidates, reverse=True)
    while left:
        score, box, *_ = left[0]
        same = left[:1]
        others: list[_Candidate] = []
        for other in left[1:]:
            (same if overlap(box, other[1]) > SAME_FACE else others).append(other)
        if overlap(box, known) > STILL_THERE:
            face = _average(same)
            share = overlap((face[0], face[1], face[2], face[3]), known)
            if share > nearest:
                found, nearest = (face, score), share
        left = others
    return found


def _average(candidates: list[_Candidate]) -> list[float]:
    """Return the average of candidates, weighted by their scores.

    Decoding a row is linear, so the rows are averaged first and the average is decoded once.
    """
    scores, _, rows, centres = zip(*candidates, strict=True)
    total = sum(scores)
    x, y = (sum(map(mul, scores, column)) / total for column in zip(*centres, strict=True))
    across, down, width, height, *points = (
        sum(map(mul, scores, column)) / (total * INPUT_SIZE) for column in zip(*rows, strict=True)
    )
    across, down = x + across, y + down
    box = [across - width / 2, down - height / 2, across + width / 2, down + height / 2]
    box[4:] = [x + point for point in points]
    box[5::2] = [y + point for point in points[1::2]]
    return box


def overlaps(candidate: Floats, others: Floats) -> Floats:
    """Return the intersection over union, 0 to 1, of one box with each of many."""
    sides = np.minimum(candidate[2:4], others[:, 2:4]) - np.maximum(candidate[:2], others[:, :2])
    np.maximum(sides, 0, out=sides)
    shared = sides[:, 0] * sides[:, 1]
    total = _area(candidate) + _area(others) - shared
    return np.asarray(shared / np.maximum(total, _NO_AREA))


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:4] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def _lowest_logit(score: float) -> float:
    """Return a logit slightly below that of a score, with an exponential finite in float32."""
    low, high = _LOGITS
    return min(max(math.log(score / (1 - score)) - 0.01, low), high) if score < 1 else high

"""Measure how right scores are: accuracy, recall, F1, calibration. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CALIBRATION_BINS = 15
"""Equal-width confidence bins, as in Guo et al. 2017 (arXiv 1706.04599)."""


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class; one is None where the class never occurs or is never predicted."""

    support: int
    """Faces of this class."""
    precision: float | None
    """Share of the faces predicted to be of this class that are."""
    recall: float | None
    """Share of the faces of this class that are predicted to be."""
    f1: float
    """Harmonic mean of precision and recall; 0 if no prediction is right."""


@dataclass(frozen=True)
class Figures:
    """All figures of one set of scores against one truth."""

    faces: int
    accuracy: float
    macro_recall: float
    macro_f1: float
    expected_calibration_error: float
    classes: dict[str, ClassFigures]
    confusion: list[list[int]]
    """[truth][answer] counts in label order."""


def confusion_matrix(
    truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count (classes, classes) faces by truth (row) and answer (column)."""
    counts = np.bincount(truth * classes + answers, minlength=classes**2)
    return np.asarray(counts.reshape(classes, classes), np.int64)


def expected_calibration_error(
    confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]
) -> float:
    """Average the gap between confidence and accuracy over bins, weighted by their faces.

    Args:
        confidence: (n,) top scores, 0..1.
        right: (n,) whether the top label was right.

    Returns:
        The error, 0..1.

    """
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    error = 0.0
    for bin_ in np.unique(bins):
        inside = bins == bin_
        error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)


def measure(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.int64], labels: Sequence[str]
) -> Figures:
    """Measure scores against true classes.

    Args:
        scores: (n, c), higher for what is likelier.
        truth: (n,) indices into `labels`.
        labels: names of the classes: first those of the scores, then any that are never answered.

    Raises:
        ValueError: there is nothing to measure.

    """
    if not len(truth):
        msg = "no face to measure"
        raise ValueError(msg)
    answers = scores.argmax(axis=1)
    confusion = confusion_matrix(truth, answers, len(labels))
    classes = {label: _class_figures(confusion, index) for index, label in enumerate(labels)}
    recalls = [figures.recall for figures in classes.values() if figures.recall is not None]
    present = [figures.f1 for figures in classes.values() if figures.support]
    return Figures(
        faces=len(truth),
        accuracy=float((answers == truth).mean()),
        macro_recall=float(np.mean(recalls)),
        macro_f1=float(np.mean(present)),
        expected_calibration_error=expected_calibration_error(scores.max(axis=1), answers == truth),
        classes=classes,
        confusion=confusion.tolist(),
    )


def _class_figures(confusion: NDArray[np.int64], index: int) -> ClassFigures:
    right = int(confusion[index, index])
    support = int(confusion[index].sum())
    called = int(confusion[:, index].sum())
    return ClassFigures(
        support=support,
        precision=right / called if called else None,
        recall=right / support if support else None,
        f1=2 * right / (support + called) if right else 0.0,
    )

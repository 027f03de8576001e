from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from serenbox.results import EMOTIONS
from training.metrics import expected_calibration_error, measure


def _example() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.ones(len(EMOTIONS)), 500).astype(np.float32)
    truth = np.where(rng.random(500) < 0.4, scores.argmax(1), rng.integers(0, 6, 500))
    return scores, truth.astype(np.int64)


def test_figures_agree_with_an_independent_library() -> None:
    scores, truth = _example()

    figures = measure(scores, truth, EMOTIONS)

    answers = scores.argmax(1)
    assert figures.accuracy == pytest.approx(oracle.accuracy_score(truth, answers))
    present = np.unique(truth)
    recall = oracle.recall_score(truth, answers, average="macro", labels=present)
    assert figures.macro_recall == pytest.approx(recall)
    f1 = oracle.f1_score(truth, answers, average="macro", labels=present)
    assert figures.macro_f1 == pytest.approx(f1)
    labels = range(len(EMOTIONS))
    expected = oracle.confusion_matrix(truth, answers, labels=labels)
    assert figures.confusion == expected.tolist()
    each = oracle.precision_recall_fscore_support(
        truth, answers, average=None, labels=labels, zero_division=0
    )
    for one, *theirs in zip(figures.classes.values(), *each, strict=True):
        mine = (one.precision or 0.0, one.recall or 0.0, one.f1, one.support)
        assert mine == pytest.approx(theirs)


def test_class_that_is_not_there_has_no_recall() -> None:
    scores, truth = _example()
    truth = np.zeros_like(truth)

    figures = measure(scores, truth, EMOTIONS)

    assert figures.classes["surprise"].recall is None
    assert figures.macro_recall == figures.classes["angry"].recall
    assert figures.macro_f1 == figures.classes["angry"].f1


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="no face"):
        measure(np.zeros((0, 7), np.float32), np.zeros(0, np.int64), EMOTIONS)


def test_calibration_error_of_honest_and_boastful_scores() -> None:
    right = np.array([True] * 7 + [False] * 3)

    assert expected_calibration_error(np.full(10, 0.7), right) == pytest.approx(0)
    assert expected_calibration_error(np.full(10, 1.0), right) == pytest.approx(0.3)


def test_calibration_error_weighs_each_bin_by_its_faces_and_adds_both_directions() -> None:
    confidence = np.array([0.9] * 8 + [0.5] * 2)
    right = np.array([True] * 8 + [False] * 2)

    assert expected_calibration_error(confidence, right) == pytest.approx(0.8 * 0.1 + 0.2 * 0.5)

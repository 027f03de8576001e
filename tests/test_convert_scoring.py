"""How logits become scores, and which faces the figures count: arithmetic with known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.errors import InputError
from convert.options import Options
from convert.scoring import Exam, fit_scores, make_exam, named_figures, shift_to_majority, truth_of
from serenbox.model_file import ScoreSpec
from serenbox.results import EMOTIONS
from training.data import Faces
from training.labels import FERPLUS_COLUMNS

OTHER_ORDER = (*EMOTIONS[2:], *EMOTIONS[:2])
PRIOR = (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)


def public_faces() -> Faces:
    """Two faces of each emotion in PublicTest, all of whose annotators agree with the label."""
    labels = np.tile(np.arange(len(EMOTIONS)), 2)
    columns = list(FERPLUS_COLUMNS.values())
    ballots = np.zeros((len(labels), len(columns)), np.int64)
    ballots[np.arange(len(labels)), [columns.index(EMOTIONS[label]) for label in labels]] = 10
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 48, 48)).astype(np.uint8)
    splits = np.array(["PublicTest"] * len(labels))
    return Faces(images, labels, splits, np.zeros(len(labels), np.bool_), ballots, {})


def drawn(added: np.ndarray) -> tuple[np.ndarray, Exam]:
    """Return logits that lack a constant each, and the exam that one with them would pass."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, len(EMOTIONS))).astype(np.float32)
    powers = np.exp(logits + added)
    chances = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)
    truth = (chances < rng.random((len(logits), 1))).sum(axis=1)
    return logits, Exam(np.zeros((0, 48, 48), np.uint8), truth, np.zeros(0, np.bool_))


def test_the_truth_is_told_in_the_order_of_the_labels() -> None:
    truth = truth_of(public_faces(), "fer2013", OTHER_ORDER)

    assert [OTHER_ORDER[index] for index in truth] == [*EMOTIONS, *EMOTIONS]


def test_faces_in_which_annotators_saw_no_emotion_are_not_counted() -> None:
    faces = public_faces()
    assert faces.ballots is not None
    ballots = faces.ballots.copy()
    ballots[3] = [10 if column == "NF" else 0 for column in FERPLUS_COLUMNS]
    unseen = replace(faces, ballots=ballots)

    assert len(make_exam(unseen, "ferplus", EMOTIONS).truth) == len(faces) - 1
    assert len(make_exam(unseen, "fer2013", EMOTIONS).truth) == len(faces)


def test_duplicates_alone_are_no_exam() -> None:
    faces = public_faces()

    with pytest.raises(InputError, match="every face of the data's PublicTest split also occurs"):
        make_exam(replace(faces, duplicate=~faces.duplicate), "fer2013", EMOTIONS)


def test_the_shift_is_what_the_prior_does_not_explain() -> None:
    shift = np.array([0.5, -0.2, 0.0, 0.1, -0.4, 0.3, -0.3])
    logits, exam = drawn(shift + 0.6 * np.log(PRIOR))

    found = shift_to_majority(logits, exam.truth, PRIOR, 0.6)

    np.testing.assert_allclose(found, shift, atol=0.1)


def test_the_temperature_is_that_of_what_a_device_computes() -> None:
    """With all that is added, the logits are calibrated as they are; without, they are not."""
    shift = (3.0, -3.0, 0.0, 2.0, -2.0, 0.0, 0.0)
    logits, exam = drawn(np.array(shift) + np.log(PRIOR))
    options = Options(Path("m.keras"), Path("m.tflite"), Path("fer2013.csv"))

    fitted = fit_scores(logits, exam, options, PRIOR, 1.0, shift)

    assert fitted.temperature == pytest.approx(1, abs=0.03)
    assert (fitted.class_prior, fitted.prior_exponent, fitted.shift) == (PRIOR, 1.0, shift)


def test_what_thresholds_do_is_counted() -> None:
    # Sure and right, sure and wrong, unsure and right, unsure and wrong: all are called angry.
    sure, unsure = 5.0, 1.0
    logits = np.zeros((6, len(EMOTIONS)), np.float32)
    logits[:, 0] = [sure, sure, sure, sure, unsure, unsure]
    truth = np.array([0, 0, 0, 1, 0, 1])
    exam = Exam(np.zeros((6, 48, 48), np.uint8), truth, np.zeros(6, np.bool_))
    spec = ScoreSpec(1.0, (1 / 7,) * 7, 0.0, dict.fromkeys(EMOTIONS, 0.8))

    figures = named_figures(logits, exam, spec, EMOTIONS)

    assert figures["share"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["accuracy"] == 0.75
    assert figures["accuracy_of_uncertain"] == 0.5
    assert figures["labels"]["angry"] == {
        "uncertain": pytest.approx(2 / 6, abs=1e-4),
        "precision_without": pytest.approx(4 / 6, abs=1e-4),
        "precision": 0.75,
    }
    assert figures["labels"]["sad"]["precision"] is None

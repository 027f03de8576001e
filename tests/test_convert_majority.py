"""The shift added to logits so that the majority of the annotators comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from convert.errors import RefusedError
from convert.majority import fit_shift
from convert.scoring import shift_to_majority
from serenbox.classifier import EmotionClassifier
from serenbox.crop import face_to_input
from serenbox.model_file import ModelMetadata, append_metadata
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.predict import predict

if TYPE_CHECKING:
    from pathlib import Path

SHIFT = np.array([0.5, -0.2, 0.0, 0.1, -0.4, 0.3, -0.3])


def drawn(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_the_shift_is_found_whatever_the_sharpness() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 7))
    for sharpness in (0.5, 1.5):
        truth = drawn(softmax(sharpness * (logits + SHIFT)), rng)

        np.testing.assert_allclose(fit_shift(logits, truth), SHIFT, atol=0.1)


def test_the_shift_of_overconfident_logits_is_found() -> None:
    """A full step of Newton's method goes too far for these, and never comes back."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (20_000, 7))
    truth = drawn(softmax(logits + SHIFT), rng)
    for factor in (5, 20):
        np.testing.assert_allclose(
            fit_shift(factor * logits, truth), factor * SHIFT, rtol=0.3, atol=factor * 0.1
        )


def test_the_majority_of_ten_votes_comes_first_more_often() -> None:
    rng = np.random.default_rng(1)
    # One emotion, like a smile, is plain or absent; each annotator sees it or does not.
    plain = rng.random(20_000) < 0.3
    shares = softmax(rng.normal(0, 0.5, (20_000, 7)))
    shares[plain] = 0.1 * shares[plain] + 0.9 * np.eye(7)[3]
    votes = np.stack([np.eye(7)[drawn(shares, rng)] for _ in range(10)]).sum(axis=0)
    truth = votes.argmax(axis=1)  # in a tie the first
    logits = np.log(shares)  # what a perfect learner of mean votes would say

    shifted = logits + fit_shift(logits, truth)

    right, better = (np.mean(each.argmax(axis=1) == truth) for each in (logits, shifted))
    assert better > right + 0.002


def test_faces_that_are_all_right_leave_the_logits_alone() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 7, 70)
    for size in (1, 10, 50):
        logits = size * (np.eye(7)[truth] + rng.normal(0, 0.05, (70, 7)))

        assert np.abs(fit_shift(logits, truth)).max() < 0.05


def test_answers_that_say_nothing_of_the_majority_have_no_shift() -> None:
    rng = np.random.default_rng(4)
    truth = drawn(softmax(np.tile(4 * SHIFT, (20_000, 1))), rng)
    logits = rng.normal(0, 2, (20_000, 7)).astype(np.float32)

    with pytest.raises(RefusedError, match="no shift up to 100 leads from"):
        shift_to_majority(logits, truth, (1 / 7,) * 7, 1.0)


def test_evaluation_shifts_as_the_device_does_whatever_the_order_of_labels(
    small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    prior = (0.4, 0.1, 0.2, 0.1, 0.05, 0.05, 0.1)
    scores = metadata.scores._replace(shift=tuple(SHIFT), class_prior=prior, prior_exponent=0.5)
    said = metadata._replace(labels=tuple(reversed(EMOTIONS)), scores=scores)
    path = tmp_path / "m.tflite"
    path.write_bytes(append_metadata(small_tflite, said))
    face = np.full((48, 48), 200, np.uint8)

    device = EmotionClassifier(path)

    answer = device.classify(face_to_input(face, device.input_size, "grey"))
    assert predict(path, face[np.newaxis]).scores[0] == pytest.approx(answer)


def test_a_network_is_scored_in_the_order_of_the_labels_of_its_tflite(
    small_tflite: bytes,
    metadata: ModelMetadata,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layers = [keras.layers.Rescaling(1 / 32), keras.layers.Flatten(), keras.layers.Dense(7)]
    network = keras.Sequential([keras.Input((32, 32, 1)), *layers])
    network.save(tmp_path / "m.keras")
    said = metadata._replace(labels=tuple(reversed(EMOTIONS)))
    path = tmp_path / "m.tflite"
    path.write_bytes(append_metadata(small_tflite, said))
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)

    measured = predict(tmp_path / "m.keras", faces, scores_as=path)

    own = predict(tmp_path / "m.keras", faces, prior_exponent=0).logits
    np.testing.assert_allclose(measured.logits, own[:, ::-1], rtol=1e-5)
    monkeypatch.setattr("training.predict.BATCH", 2)
    again = predict(tmp_path / "m.keras", faces, scores_as=path)
    np.testing.assert_allclose(again.logits, measured.logits, rtol=1e-5)
    scaled = said._replace(training={**said.training, "scale": "0..1"})
    path.write_bytes(append_metadata(small_tflite, scaled))
    with pytest.raises(RunError, match=r"was converted with --scale 0\.\.1, which is not in m\.k"):
        predict(tmp_path / "m.keras", faces, scores_as=path)


def test_no_more_of_the_prior_is_put_back_than_a_tflite_says(
    small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    layers = [keras.layers.Flatten(), keras.layers.Dense(7)]
    keras.Sequential([keras.Input((32, 32, 1)), *layers]).save(tmp_path / "m.keras")
    half = metadata._replace(training={"run": {"settings": {"balance": 0.5}}})
    path = tmp_path / "m.tflite"
    path.write_bytes(append_metadata(small_tflite, half))
    face = np.full((1, 48, 48), 200, np.uint8)

    assert predict(path, face, prior_exponent=0.5).kept_out == 0.5
    with pytest.raises(RunError, match=r"0\.6 is more of the class prior than training kept out"):
        predict(path, face, prior_exponent=0.6)
    with pytest.raises(RunError, match=r"0\.6 is more of the class prior than training kept out"):
        predict(tmp_path / "m.keras", face, scores_as=path, prior_exponent=0.6)
    path.write_bytes(append_metadata(small_tflite, metadata))
    assert predict(path, face, prior_exponent=1).kept_out == 1  # nothing is known


def test_what_does_not_go_with_a_model_is_refused(
    small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(append_metadata(small_tflite, metadata))
    face = np.full((1, 48, 48), 200, np.uint8)

    with pytest.raises(RunError, match=r"--scores-as is for a \.keras, and m\.tflite"):
        predict(path, face, scores_as=path)
    network = tmp_path / "m.keras"
    network.touch()
    with pytest.raises(RunError, match=r"--runtime is for a \.tflite, and m\.keras"):
        predict(network, face, runtime="ai-edge-litert")
    for exponent in (-1, 7, np.nan):
        with pytest.raises(RunError, match="must be from 0 to 1"):
            predict(path, face, prior_exponent=exponent)

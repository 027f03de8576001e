from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from serenbox.classifier import EmotionClassifier, name_emotion, scores_from_logits
from serenbox.errors import ModelError
from serenbox.model_file import InputSpec, ModelMetadata, ScoreSpec, append_metadata
from serenbox.results import EMOTIONS, UNCERTAIN
from tests.tflite import altered

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = ScoreSpec(1.0, (1 / 7,) * 7, 0.0, {})
BRIGHT, DARK = np.full((96, 96, 1), 255, np.uint8), np.zeros((96, 96, 1), np.uint8)


def write(path: Path, tflite: bytes, metadata: ModelMetadata) -> Path:
    path.write_bytes(append_metadata(tflite, metadata))
    return path


def test_scores_are_a_softmax() -> None:
    logits = np.array([0, 1, 2, 3, 2, 1, 0], np.float32)

    scores = scores_from_logits(logits, PLAIN)

    assert scores.dtype == np.float32
    assert scores == pytest.approx(np.exp(logits) / np.exp(logits).sum())


def test_scores_of_a_batch_are_those_of_its_rows() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (20, 7)).astype(np.float32)
    spec = ScoreSpec(1.7, (0.1, 0.01, 0.04, 0.25, 0.35, 0.15, 0.1), 0.6, {})

    batch = scores_from_logits(logits, spec)

    assert batch.shape == (20, 7)
    assert batch.sum(axis=1) == pytest.approx(np.ones(20))
    rows = np.stack([scores_from_logits(row, spec) for row in logits])
    assert batch == pytest.approx(rows)


def test_large_logits_do_not_overflow() -> None:
    scores = scores_from_logits(np.array([1e4, -1e4, 0, 0, 0, 0, 0]), PLAIN)

    assert scores.tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_the_prior_is_put_back_by_its_exponent() -> None:
    prior = (0.1, 0.05, 0.05, 0.3, 0.3, 0.1, 0.1)
    spec = ScoreSpec(1.0, prior, 1.0, {})

    assert scores_from_logits(np.zeros(7), spec) == pytest.approx(prior)
    half = scores_from_logits(np.zeros(7), spec._replace(prior_exponent=0.5))
    assert half == pytest.approx(np.sqrt(prior) / np.sqrt(prior).sum())


def test_a_shift_is_added_before_the_temperature_divides() -> None:
    logits = np.array([0, 1, 5, 3, 2, 1, 0], np.float32)
    shift = (0.3, 0.0, -0.2, 0.0, 0.0, 0.1, -0.2)
    spec = ScoreSpec(1.7, (0.1, 0.01, 0.04, 0.25, 0.35, 0.15, 0.1), 0.6, {})

    shifted = scores_from_logits(logits, spec._replace(shift=shift))

    assert shifted == pytest.approx(scores_from_logits(logits + np.array(shift), spec))
    assert shifted != pytest.approx(scores_from_logits(logits, spec), abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_scores_that_are_no_numbers_are_an_error(value: float) -> None:
    logits = np.array([0, value, 5, 3, 2, 1, 0])

    with pytest.raises(ModelError, match="output is not finite"):
        scores_from_logits(logits, PLAIN._replace(temperature=0.001))


def test_temperature_makes_scores_modest_and_keeps_their_order() -> None:
    logits = np.array([0, 1, 5, 3, 2, 1, 0], np.float32)
    warm = scores_from_logits(logits, PLAIN._replace(temperature=3.0))
    plain = scores_from_logits(logits, PLAIN)

    assert warm.max() < plain.max()
    assert warm.argsort(kind="stable").tolist() == plain.argsort(kind="stable").tolist()


@pytest.mark.parametrize(("threshold", "emotion"), [(0.39, "sad"), (0.4, "sad"), (0.41, UNCERTAIN)])
def test_an_emotion_is_named_from_its_own_threshold_on(threshold: float, emotion: str) -> None:
    scores = {"happy": 0.3, "sad": 0.4, "fear": 0.3}

    assert name_emotion(scores, {"happy": 0.0, "sad": threshold, "fear": 1.0}) == emotion


def test_classifies_with_a_real_model(emotion_model: Path) -> None:
    classifier = EmotionClassifier(emotion_model)

    assert classifier.input_size == 96
    assert classifier.metadata.labels == EMOTIONS
    scores = classifier.classify(BRIGHT)
    assert scores.shape == (7,)
    assert scores.sum() == pytest.approx(1)
    assert EMOTIONS[int(scores.argmax())] == "happy"
    assert EMOTIONS[int(classifier.classify(DARK).argmax())] == "sad"
    assert classifier.logits(BRIGHT) == pytest.approx([0, 0, 0, 4, 0, -4, 0], abs=0.1)


def test_labels_may_come_in_any_order(
    small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path, emotion_model: Path
) -> None:
    labels = tuple(reversed(EMOTIONS))
    prior = (0.2, 0.2, 0.1, 0.1, 0.1, 0.2, 0.1)
    shift = (0.3, 0.0, -0.1, 0.0, 0.2, -0.3, -0.1)
    scores = metadata.scores._replace(class_prior=prior, prior_exponent=1.0, shift=shift)
    path = write(
        tmp_path / "m.tflite",
        small_tflite,
        metadata._replace(labels=labels, scores=scores),
    )

    turned = EmotionClassifier(path)

    logits = EmotionClassifier(emotion_model).logits(BRIGHT)
    assert turned.logits(BRIGHT) == pytest.approx(logits)
    in_file_order = scores_from_logits(logits, scores)
    assert turned.classify(BRIGHT) == pytest.approx(in_file_order[::-1])


def test_other_labels_are_refused(
    small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    labels = ("bored", *EMOTIONS[1:])
    scores = metadata.scores._replace(thresholds=dict.fromkeys(labels, 0.4))
    path = write(
        tmp_path / "m.tflite",
        small_tflite,
        metadata._replace(labels=labels, scores=scores),
    )

    with pytest.raises(ModelError, match=r"m\.tflite: .*it lacks angry and has bored"):
        EmotionClassifier(path)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (InputSpec("rgb", (0, 255)), r"a rgb one must be \(1, size, size, 3\)"),
        (InputSpec("grey", (-1, 1)), "must take uint8 from 0 to 255"),
    ],
)
def test_metadata_that_contradict_the_tensors_are_refused(
    wanted: InputSpec,
    message: str,
    small_tflite: bytes,
    metadata: ModelMetadata,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "m.tflite", small_tflite, metadata._replace(input=wanted))

    with pytest.raises(ModelError, match=message):
        EmotionClassifier(path)


@pytest.mark.parametrize("shape", [(), (96,), (1, 96), (1, 96, 96), (1, 48, 96, 1)])
def test_an_input_of_another_shape_is_refused(
    shape: tuple[int, ...], small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    def cut(graph: Any) -> None:  # noqa: ANN401 - of LiteRT's schema
        """Leave a model that does nothing with an input of that shape."""
        graph.operators = []
        graph.tensors[graph.inputs[0]].shape = list(shape)
        graph.tensors[graph.inputs[0]].shapeSignature = None

    path = write(tmp_path / "m.tflite", altered(small_tflite, cut), metadata)

    message = rf"m\.tflite: the model's input has the shape {re.escape(str(shape))}, and a grey one"
    with pytest.raises(ModelError, match=message):
        EmotionClassifier(path)


def test_the_face_finders_model_is_refused(
    face_model: Path, metadata: ModelMetadata, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="carries no metadata"):
        EmotionClassifier(face_model)
    path = write(tmp_path / "m.tflite", face_model.read_bytes(), metadata)
    with pytest.raises(ModelError, match="one input and one output"):
        EmotionClassifier(path)


@pytest.mark.parametrize("exponent", [0.0, 0.25, 1.0])
def test_the_prior_exponent_given_takes_the_place_of_the_models(
    exponent: float, small_tflite: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    prior = (0.1, 0.05, 0.05, 0.3, 0.3, 0.1, 0.1)
    scores = metadata.scores._replace(class_prior=prior, prior_exponent=0.5)
    path = write(tmp_path / "m.tflite", small_tflite, metadata._replace(scores=scores))

    classifier = EmotionClassifier(path, prior_exponent=exponent)

    wanted = scores_from_logits(classifier.logits(BRIGHT), scores._replace(prior_exponent=exponent))
    assert classifier.classify(BRIGHT) == pytest.approx(wanted)
    for impossible in (-0.01, 1.01):
        with pytest.raises(ValueError, match="must be from 0 to 1"):
            EmotionClassifier(path, prior_exponent=impossible)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path, emotion_model: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.tflite"):
        EmotionClassifier(tmp_path / "gone.tflite")
    content = bytearray(emotion_model.read_bytes())
    content[500] ^= 1
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.tflite: the model is damaged"):
        EmotionClassifier(path)


def test_the_shipped_model() -> None:
    classifier = EmotionClassifier()

    assert classifier.metadata.labels == EMOTIONS
    channels = 1 if classifier.metadata.input.color == "grey" else 3
    size = classifier.input_size
    scores = classifier.classify(np.full((size, size, channels), 128, np.uint8))
    assert scores.sum() == pytest.approx(1)
    assert set(classifier.metadata.scores.thresholds) == set(EMOTIONS)

"""Run a .keras or .tflite model on many faces, through the device's own preprocessing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.classifier import EmotionClassifier, scores_from_logits
from serenbox.crop import face_to_input
from serenbox.errors import SerenBoxError
from serenbox.model_file import ScoreSpec, load_model_file
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.files import RECORD
from training.origin import is_record_of
from training.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from serenbox.model_file import ModelMetadata
    from serenbox.runtime import Runtime

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """What one model answers for a set of faces."""

    logits: NDArray[np.float32]
    """(n, 7) outputs of the network in the order of `EMOTIONS`."""
    scores: NDArray[np.float32]
    """(n, 7) probabilities computed from the logits."""
    spec: ScoreSpec
    """How the scores were computed from the logits."""
    model: dict[str, Any]
    """Name and SHA-256 of the model file, and what ran it."""


def model_inputs(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Enlarge (n, 48, 48) faces to (n, size, size, 1) exactly as the device does."""
    return np.stack([face_to_input(image, size, "grey") for image in images])


def keras_logits(model: Any, images: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Run (n, 48, 48) faces through a Keras model at `size` and return (n, 7) logits."""
    parts = []
    for start in range(0, len(images), BATCH):
        pixels = model_inputs(images[start : start + BATCH], size).astype(np.float32)
        parts.append(np.asarray(model.predict_on_batch(pixels), np.float32))
    return np.concatenate(parts)


def predict(
    path: Path,
    images: NDArray[np.uint8],
    *,
    runtime: Runtime = "auto",
    scores_as: Path | None = None,
    prior_exponent: float | None = None,
) -> Prediction:
    """Score (n, 48, 48) faces with a model file.

    Args:
        path: a .tflite made by `python -m convert`, or a .keras made by `python -m training fit`.
        images: the faces.
        runtime: what runs a .tflite.
        scores_as: a .tflite whose temperature, prior and thresholds are used for a .keras; without
            it, the class prior in the run.json beside the .keras is used, without thresholds.
        prior_exponent: replaces the model's own, 0 to 1.

    Raises:
        RunError: the model cannot be read, or the other arguments do not fit it.

    """
    if not path.is_file():
        msg = f"{path} does not exist: give a .keras or .tflite model"
        raise RunError(msg)
    if prior_exponent is not None and not 0 <= prior_exponent <= 1:
        msg = f"--prior-exponent is {prior_exponent:g}, and must be from 0 to 1"
        raise RunError(msg)
    if scores_as is not None and path.suffix != ".keras":
        msg = f"--scores-as is for a .keras, and {path.name} brings its own scores: leave it out"
        raise RunError(msg)
    if runtime != "auto" and path.suffix == ".keras":
        msg = f"--runtime is for a .tflite, and {path.name} is run by Keras: leave it out"
        raise RunError(msg)
    try:
        if path.suffix == ".keras":
            logits, spec, engine = _from_keras(path, images, scores_as)
        else:
            logits, spec, engine = _from_tflite(path, images, runtime)
    except SerenBoxError as error:
        raise RunError(str(error)) from error
    if prior_exponent is not None:
        spec = spec._replace(prior_exponent=prior_exponent)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Prediction(
        logits,
        scores_from_logits(logits, spec),
        spec,
        {"file": path.name, "sha256": digest, "runtime": engine},
    )


def _from_tflite(
    path: Path, images: NDArray[np.uint8], runtime: Runtime
) -> tuple[NDArray[np.float32], ScoreSpec, str]:
    classifier = EmotionClassifier(path, runtime=runtime)
    metadata = classifier.metadata
    order = [metadata.labels.index(emotion) for emotion in EMOTIONS]
    color, size = metadata.input.color, classifier.input_size
    logits = [classifier.logits(face_to_input(image, size, color))[order] for image in images]
    return np.stack(logits), _in_order(metadata), classifier.runtime


def _in_order(metadata: ModelMetadata) -> ScoreSpec:
    """Return how a model scores, with its class prior and shift in the order of `EMOTIONS`."""
    scores = metadata.scores
    order = [metadata.labels.index(emotion) for emotion in EMOTIONS]
    prior = tuple(scores.class_prior[index] for index in order)
    shift = tuple(scores.shift[index] for index in order) if scores.shift else ()
    return scores._replace(class_prior=prior, shift=shift)


def _from_keras(
    path: Path, images: NDArray[np.uint8], scores_as: Path | None
) -> tuple[NDArray[np.float32], ScoreSpec, str]:
    with quiet():  # TensorFlow prints start-up messages
        import keras

        from training.network import load_network

    model = load_network(path, "the model")
    spec = _in_order(load_model_file(scores_as)[1]) if scores_as else _run_spec(path)
    logits = keras_logits(model, images, model.input_shape[1])
    return logits, spec, f"keras {keras.version()} on {keras.backend.backend()}"


def _run_spec(path: Path) -> ScoreSpec:
    record = path.with_name(RECORD)
    try:
        run = json.loads(record.read_text())
        prior, balance = run["class_prior"], float(run["settings"].get("balance", 1.0))
        class_prior = tuple(float(prior[emotion]) for emotion in EMOTIONS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{record} does not give the class prior: keep it beside the model, "
            "or give --scores-as FILE.tflite"
        )
        raise RunError(msg) from error
    if not is_record_of(path, run):
        msg = (
            f"{record} is the record of another model: keep {path.name} beside its own, "
            "or give --scores-as FILE.tflite"
        )
        raise RunError(msg)
    # Put back what the balanced loss kept out of the logits.
    return ScoreSpec(1.0, class_prior, balance, dict.fromkeys(EMOTIONS, 0.0))

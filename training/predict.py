"""Run a .keras or .tflite model on many faces, through the device's own preprocessing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.classifier import EmotionClassifier, scores_from_logits
from serenbox.crop import face_to_input
from serenbox.errors import SerenBoxError
from serenbox.model_file import ScoreSpec, load_model_file
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.files import RECORD
from training.origin import is_class_prior, is_record_of
from training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from serenbox.model_file import ModelMetadata
    from serenbox.runtime import Runtime

BATCH = 256

_UNSCALED = "0..255"
"""The pixels that every model here takes, as `convert --scale` names them."""

_NO_THRESHOLDS = dict.fromkeys(EMOTIONS, 0.0)


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
    kept_out: float = 1.0
    """How much of the class prior training kept out of the logits, 0 to 1; 1 if unknown."""


@dataclass(frozen=True)
class Model:
    """A model file, ready to score faces."""

    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """Gives the (n, 7) logits of (n, 48, 48) faces, in the order of `EMOTIONS`."""
    spec: ScoreSpec
    """How its scores are computed from the logits."""
    runtime: str
    """What runs it."""
    kept_out: float
    """See `Prediction`."""
    file: dict[str, str]
    """Name and SHA-256 of the file."""

    def predict(self, images: NDArray[np.uint8]) -> Prediction:
        """Score (n, 48, 48) faces."""
        logits = self.logits(images)
        scores = scores_from_logits(logits, self.spec)
        about = {**self.file, "runtime": self.runtime}
        return Prediction(logits, scores, self.spec, about, self.kept_out)


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
    """Score (n, 48, 48) faces with a model file; see `load_model`.

    Raises:
        RunError: the model cannot be read, or the other arguments do not fit it.

    """
    model = load_model(path, runtime=runtime, scores_as=scores_as, prior_exponent=prior_exponent)
    return model.predict(images)


def load_model(
    path: Path,
    *,
    runtime: Runtime = "auto",
    scores_as: Path | None = None,
    prior_exponent: float | None = None,
) -> Model:
    """Read a model file.

    Args:
        path: a .tflite made by `python -m convert`, or a .keras made by `python -m training fit`.
        runtime: what runs a .tflite.
        scores_as: a .tflite whose labels, temperature, prior and thresholds are used for a .keras;
            without it, the class prior in the run.json beside the .keras is used, without
            thresholds.
        prior_exponent: replaces the model's own, 0 to what training kept out.

    Raises:
        RunError: the model cannot be read, or the other arguments do not fit it.

    """
    _check_arguments(path, runtime, scores_as, prior_exponent)
    try:
        if path.suffix != ".keras":
            model = _from_tflite(path, runtime)
        elif scores_as is not None:
            model = _scored_as(path, scores_as)
        else:
            model = _from_run(path, prior_exponent)
    except SerenBoxError as error:
        raise RunError(str(error)) from error
    if prior_exponent is None:
        return model
    check_exponent("--prior-exponent", prior_exponent, model.kept_out)
    return replace(model, spec=model.spec._replace(prior_exponent=prior_exponent))


def check_exponent(option: str, exponent: float, kept_out: float) -> None:
    """Refuse to put back more of the class prior than training kept out of the logits.

    Raises:
        RunError: the exponent is too large; the message names the option.

    """
    if exponent > kept_out:
        msg = (
            f"{option} {exponent:g} is more of the class prior than training kept out of the "
            f"logits (--balance {kept_out:g}): give {kept_out:g} or less"
        )
        raise RunError(msg)


def _check_arguments(
    path: Path, runtime: Runtime, scores_as: Path | None, prior_exponent: float | None
) -> None:
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


def _from_tflite(path: Path, runtime: Runtime) -> Model:
    classifier = EmotionClassifier(path, runtime=runtime)
    metadata, size = classifier.metadata, classifier.input_size
    order, color = _order(metadata), metadata.input.color

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        inputs = (face_to_input(image, size, color) for image in images)
        return np.stack([classifier.logits(pixels)[order] for pixels in inputs])

    kept_out = kept_out_by(metadata.training.get("run"))
    return Model(logits, _in_order(metadata), classifier.runtime, kept_out, _identity(path))


def _order(metadata: ModelMetadata) -> list[int]:
    """Return where a model has each of `EMOTIONS`."""
    return [metadata.labels.index(emotion) for emotion in EMOTIONS]


def _in_order(metadata: ModelMetadata) -> ScoreSpec:
    """Return how a model scores, with its class prior and shift in the order of `EMOTIONS`."""
    scores, order = metadata.scores, _order(metadata)
    prior = tuple(scores.class_prior[index] for index in order)
    shift = tuple(scores.shift[index] for index in order) if scores.shift else ()
    return scores._replace(class_prior=prior, shift=shift)


def _scored_as(path: Path, scores_as: Path) -> Model:
    """Read a .keras that is scored as the .tflite made of it."""
    metadata = load_model_file(scores_as)[1]
    scale = metadata.training.get("scale", _UNSCALED)
    if scale != _UNSCALED:
        msg = (
            f"--scores-as {scores_as} was converted with --scale {scale}, which is not in "
            f"{path.name}: measure {scores_as.name} itself"
        )
        raise RunError(msg)
    kept_out = kept_out_by(metadata.training.get("run"))
    return _from_keras(path, _in_order(metadata), kept_out, _order(metadata))


def _from_run(path: Path, prior_exponent: float | None) -> Model:
    """Read a .keras with the class prior in the run.json beside it, if any prior is put back."""
    if prior_exponent == 0:
        uniform = (1 / len(EMOTIONS),) * len(EMOTIONS)
        return _from_keras(path, ScoreSpec(1.0, uniform, 0.0, _NO_THRESHOLDS), 1.0)
    record = path.with_name(RECORD)
    try:
        run = json.loads(record.read_text())
        prior, kept_out = run["class_prior"], float(run["settings"].get("balance", 1.0))
        if not is_class_prior(prior) or not 0 <= kept_out <= 1:
            raise ValueError(prior, kept_out)  # noqa: TRY301 - reported like its other defects
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{record} does not give the class prior: restore it beside the model, or measure "
            "the .tflite that was made of the model"
        )
        raise RunError(msg) from error
    if not is_record_of(path, run):
        msg = (
            f"{record} is the record of another model: keep {path.name} beside its own, or measure "
            "the .tflite that was made of the model"
        )
        raise RunError(msg)
    class_prior = tuple(float(prior[emotion]) for emotion in EMOTIONS)
    # Put back what the balanced loss kept out of the logits.
    return _from_keras(path, ScoreSpec(1.0, class_prior, kept_out, _NO_THRESHOLDS), kept_out)


def _from_keras(
    path: Path, spec: ScoreSpec, kept_out: float, order: list[int] | None = None
) -> Model:
    with quiet():  # TensorFlow prints start-up messages
        import keras

        from training.network import load_network

    network = load_network(path, "the model")
    size, chosen = network.input_shape[1], order or list(range(len(EMOTIONS)))

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return keras_logits(network, images, size)[:, chosen]

    runtime = f"keras {keras.version()} on {keras.backend.backend()}"
    return Model(logits, spec, runtime, kept_out, _identity(path))


def _identity(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def kept_out_by(run: Any) -> float:
    """Return how much of the class prior a run kept out of the logits; 1 if that is unknown."""
    try:
        return float(run["settings"]["balance"])
    except (TypeError, KeyError, ValueError):
        return 1.0

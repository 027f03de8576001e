"""Checks that the finished file still answers as the float model does, on the same faces."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import RefusedError
from convert.opcheck import OLDEST_RUNTIME
from serenbox.classifier import EmotionClassifier, scores_from_logits
from serenbox.crop import face_to_input
from serenbox.errors import ModelError, RuntimeUnavailableError
from serenbox.runtime import open_model
from training.metrics import Figures, measure
from training.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.source import FloatModel
    from serenbox.model_file import ScoreSpec


@dataclass(frozen=True, slots=True)
class Comparison:
    """The float model beside the int8 one, on the same faces against the same truth."""

    float_figures: Figures
    int8_figures: Figures
    agreement: float
    """Share of the faces for which both put the same label first."""

    @property
    def drop(self) -> float:
        """Accuracy lost, percentage points; negative if int8 is better."""
        return 100 * (self.float_figures.accuracy - self.int8_figures.accuracy)


def int8_logits(content: bytes, model: FloatModel, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the (n, labels) logits of a finished model for (n, 48, 48) faces."""
    with quiet():  # the runtime announces its delegate
        loaded = open_model(content)
    output = loaded.outputs[0]
    rows = [loaded.run(model.inputs(face[np.newaxis]))[0] for face in faces]
    return output.dequantize(np.concatenate(rows))


def read_back(path: Path, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the (n, labels) logits that a device would get from a model file, metadata and all."""
    with quiet():
        classifier = EmotionClassifier(path)
    color, size = classifier.metadata.input.color, classifier.input_size
    return np.stack([classifier.logits(face_to_input(face, size, color)) for face in faces])


def compare(
    float_logits: NDArray[np.float32],
    quantized_logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    spec: ScoreSpec,
    labels: tuple[str, ...],
) -> Comparison:
    """Compare two sets of (n, labels) logits of the same faces, scored alike."""
    before = scores_from_logits(float_logits, spec)
    after = scores_from_logits(quantized_logits, spec)
    return Comparison(
        measure(before, truth, labels),
        measure(after, truth, labels),
        float((before.argmax(axis=1) == after.argmax(axis=1)).mean()),
    )


def check_drop(comparison: Comparison, max_drop: float, fine_tune: int = 0) -> None:
    """Refuse a model that lost too much accuracy.

    Args:
        comparison: What was measured.
        max_drop: Largest allowed loss of accuracy, percentage points.
        fine_tune: Steps for which the model was fine-tuned.

    Raises:
        RefusedError: It lost more.

    """
    if comparison.drop > max_drop:
        steps = f"more steps than --fine-tune {fine_tune}, or none, " if fine_tune else ""
        raise RefusedError(
            f"int8 costs {comparison.drop:.2f} percentage points of accuracy "
            f"({comparison.float_figures.accuracy:.2%} float, "
            f"{comparison.int8_figures.accuracy:.2%} int8), more than --max-drop {max_drop:g}: try "
            f"{steps}another number of --calibration-images, or allow more; nothing was written"
        )


def check_oldest_runtime(content: bytes) -> str | None:
    """Open the model in tflite-runtime, if that is installed.

    Returns:
        None if it opened, or why it could not be tried.

    Raises:
        RefusedError: tflite-runtime refuses the model.

    """
    if importlib.util.find_spec("tflite_runtime") is None:
        return "it is not installed"
    try:
        with quiet():
            open_model(content, runtime="tflite-runtime")
    except RuntimeUnavailableError as error:
        return str(error)
    except ModelError as error:
        raise RefusedError(f"{OLDEST_RUNTIME} refuses the finished model: {error}") from error
    return None

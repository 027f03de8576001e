"""Reads the emotion of a cropped face with a model in the format of `serenbox.model_file`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.errors import ModelError
from serenbox.model_file import ModelMetadata, ScoreSpec, load_model_file
from serenbox.models import EMOTION_MODEL
from serenbox.results import EMOTIONS, UNCERTAIN
from serenbox.runtime import LoadedModel, Runtime, open_model

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

__all__ = ["EmotionClassifier", "ScoreSpec", "name_emotion", "scores_from_logits"]

_CHANNELS = {"grey": 1, "rgb": 3}


def scores_from_logits(logits: npt.NDArray[Any], spec: ScoreSpec) -> npt.NDArray[np.float32]:
    """Turn logits into probabilities.

    They are softmax((logits + shift + exponent * log(prior)) / temperature). The network was
    trained without the class prior; the exponent says how much of it is put back. The shift leads
    from the annotators' mean vote to their majority vote. The temperature calibrates the
    probabilities (Guo et al. 2017, arXiv 1706.04599).

    Args:
        logits: (..., n) floats, in the order of the model's labels.
        spec: The parameters, from the model's metadata.

    Returns:
        float32, (..., n); each row sums to 1.

    Raises:
        ModelError: A logit is not finite.

    """
    rows = np.asarray(logits, np.float64).reshape(-1, len(spec.class_prior)).tolist()
    scores = np.array([_row_scores(row, spec) for row in rows], np.float32)
    return scores.reshape(np.shape(logits))


def _row_scores(logits: Sequence[float], spec: ScoreSpec) -> list[float]:
    # For seven values, plain numbers are faster than arrays: right after the network has run,
    # little of numpy's code is in the CPU cache.
    added = _added(spec.class_prior, spec.prior_exponent, spec.shift)
    scaled = [(logit + more) / spec.temperature for logit, more in zip(logits, added, strict=True)]
    top = max(scaled)
    powers = [math.exp(value - top) for value in scaled]
    total = sum(powers)
    if not math.isfinite(total):  # `math.exp` of a negative number is at most 1
        raise ModelError(
            "the model's output is not finite, so it is damaged: fetch or convert it again"
        )
    return [power / total for power in powers]


@lru_cache(maxsize=8)
def _added(
    class_prior: tuple[float, ...], exponent: float, shift: tuple[float, ...]
) -> tuple[float, ...]:
    shift = shift or (0.0,) * len(class_prior)
    pairs = zip(class_prior, shift, strict=True)
    return tuple(exponent * math.log(share) + each for share, each in pairs)


def name_emotion(scores: Mapping[str, float], thresholds: Mapping[str, float]) -> str:
    """Return the label with the highest score, or `UNCERTAIN` if that misses its threshold."""
    label = max(scores, key=scores.__getitem__)
    return label if scores[label] >= thresholds[label] else UNCERTAIN


class EmotionClassifier:
    """Estimates how likely each of the seven emotions is. Use it from one thread at a time.

    Args:
        path: An emotion model made by `python -m convert`; the shipped one if None.
        threads: CPU threads for one run, 1 to 64.
        runtime: Which TensorFlow Lite runtime to use.
        prior_exponent: How much of the class prior is put back, 0 to 1, instead of what the model
            says.

    Raises:
        ModelError: The file cannot be read, is damaged, or is not a model of the seven emotions.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.
        ValueError: An argument is out of its range.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        threads: int = 1,
        runtime: Runtime = "auto",
        prior_exponent: float | None = None,
    ) -> None:
        path = EMOTION_MODEL if path is None else path
        content, self.metadata = load_model_file(path)
        """The model's metadata, with the prior exponent in use."""
        if prior_exponent is not None:
            self.put_back(prior_exponent)
        try:
            _check_labels(self.metadata.labels)
            self._model = open_model(content, threads=threads, runtime=runtime)
            _check_tensors(self._model, self.metadata)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self.input_size: int = self._model.inputs[0].shape[1]
        """Side of the square input, in pixels."""
        self.runtime = self._model.runtime
        """The runtime that runs the model."""
        self._order = [self.metadata.labels.index(label) for label in EMOTIONS]

    def put_back(self, prior_exponent: float) -> None:
        """Change how much of the class prior is put back from now on.

        Args:
            prior_exponent: 0 to 1, as `ScoreSpec.prior_exponent`.

        Raises:
            ValueError: It is out of its range.

        """
        if not 0 <= prior_exponent <= 1:
            raise ValueError(f"prior_exponent is {prior_exponent}, and must be from 0 to 1")
        scores = self.metadata.scores._replace(prior_exponent=prior_exponent)
        self.metadata = self.metadata._replace(scores=scores)

    def logits(self, face_input: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the model's dequantised output.

        Args:
            face_input: uint8, (size, size, 1 or 3), what `crop.face_to_input` returns.

        Returns:
            float32, (7,), in the order of `metadata.labels`.

        Raises:
            ModelError: The input has another shape or type than the model's.

        """
        return np.array(self._logits(face_input), np.float32)

    def classify(self, face_input: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probability of each emotion, float32, (7,), in the order of `EMOTIONS`.

        Args and errors are those of `logits`.
        """
        scores = _row_scores(self._logits(face_input), self.metadata.scores)
        return np.array([scores[index] for index in self._order], np.float32)

    def _logits(self, face_input: npt.NDArray[np.uint8]) -> list[float]:
        (raw,) = self._model.run(face_input[np.newaxis])
        return self._model.outputs[0].dequantize_few(raw[0].tolist())


def _check_labels(labels: tuple[str, ...]) -> None:
    missing = [label for label in EMOTIONS if label not in labels]
    extra = [label for label in labels if label not in EMOTIONS]
    if missing or extra:
        found = [f"lacks {', '.join(missing)}"] * bool(missing)
        found += [f"has {', '.join(extra)}"] * bool(extra)
        raise ModelError(
            f"not a model of the seven emotions: it {' and '.join(found)}. Its labels must be "
            f"{', '.join(EMOTIONS)}, in any order"
        )


def _check_tensors(model: LoadedModel, metadata: ModelMetadata) -> None:
    """Check the tensors against the metadata."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError("an emotion model has one input and one output, and this one has more")
    image, output = model.inputs[0], model.outputs[0]
    channels = _CHANNELS[metadata.input.color]
    if image.dtype != np.uint8 or metadata.input.pixel_range != (0, 255):
        raise ModelError(
            f"the model takes {image.dtype} pixels from {metadata.input.pixel_range[0]:g} to "
            f"{metadata.input.pixel_range[1]:g}, and must take uint8 from 0 to 255: convert it "
            "with `python -m convert`, which puts the scaling inside the model"
        )
    side = image.shape[1:2]  # empty if the shape is too short
    if image.shape != (1, *side, *side, channels):
        raise ModelError(
            f"the model's input has the shape {image.shape}, and a {metadata.input.color} one must "
            f"be (1, size, size, {channels})"
        )
    if output.shape != (1, len(EMOTIONS)):
        raise ModelError(f"the model's output has the shape {output.shape}, and must be (1, 7)")

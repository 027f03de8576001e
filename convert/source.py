"""The model to convert: read from its file and brought to one form, raw pixels in, logits out."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from convert.errors import InputError
from convert.options import SCALES
from serenbox.crop import face_to_input
from training.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from serenbox.model_file import Color

_BATCH = 64
_COLORS: dict[int, Color] = {1: "grey", 3: "rgb"}
_CONTAINERS = {"Functional", "Model", "Sequential"}


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A Keras model that takes raw pixels and gives logits."""

    network: keras.Model
    """Float32 (n, size, size, channels) pixels 0 to 255 in, (n, labels) logits out."""
    size: int
    """Side of the input in pixels."""
    color: Color

    def inputs(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn (n, h, w) grey faces into (n, size, size, channels) inputs, as the device does."""
        return np.stack([face_to_input(face, self.size, self.color) for face in faces])

    def logits(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, labels) logits of (n, h, w) grey faces."""
        parts = []
        for start in range(0, len(faces), _BATCH):
            pixels = self.inputs(faces[start : start + _BATCH]).astype(np.float32)
            parts.append(np.asarray(self.network.predict_on_batch(pixels), np.float32))
        return np.concatenate(parts)


def load_float_model(path: Path, scale: str, labels: int) -> FloatModel:
    """Read a `.keras` file, which stays unchanged.

    Args:
        path: The file.
        scale: A key of `convert.options.SCALES`: the pixel values the model expects. The scaling
            becomes part of the result.
        labels: How many outputs it must have.

    Raises:
        InputError: The file cannot be read, or a model of its kind cannot be converted.

    """
    original = _read(path)
    size, channels = _check_shapes(original, path, labels)
    try:
        with quiet():
            body = logits_model(original)
            pixels = keras.Input((size, size, channels), name="pixels")
            factor, offset = SCALES[scale]
            scaled = pixels
            if scale != "0..255":
                scaled = keras.layers.Rescaling(factor, offset=offset, name="pixel_scale")(pixels)
            network = keras.Model(pixels, body(scaled))
    except InputError as error:
        raise InputError(f"{path} cannot be converted: {error}") from error
    model = FloatModel(network, size, _COLORS[channels])
    _check_logits(model, path)
    return model


def _read(path: Path) -> keras.Model:
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file: give a model saved as .keras")
    try:
        with quiet():
            model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises almost anything on a bad file
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise InputError(
            f"{path} cannot be read as a Keras model ({reason}): give a whole .keras file that "
            "needs no custom code"
        ) from error
    if not isinstance(model, keras.Model):
        raise InputError(f"{path} holds a {type(model).__name__}, not a Keras model")
    return model


def _check_shapes(model: keras.Model, path: Path, labels: int) -> tuple[int, int]:
    """Return the side and the number of channels of the input."""
    try:
        (inputs,), (outputs,) = model.inputs, model.outputs
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{path} must have exactly one input and one output") from None
    shape = tuple(inputs.shape)
    if len(shape) != 4 or shape[1] is None or shape[1] != shape[2] or shape[3] not in _COLORS:
        raise InputError(
            f"{path} takes an input of shape {shape}: it must be (None, side, side, channels), "
            "with a fixed side and 1 (grey) or 3 (RGB) channels"
        )
    if tuple(outputs.shape)[1:] != (labels,):
        raise InputError(
            f"{path} gives an output of shape {tuple(outputs.shape)}, and {labels} labels need "
            f"(None, {labels})"
        )
    return int(shape[1]), int(shape[3])


def _check_logits(model: FloatModel, path: Path) -> None:
    """Refuse a model with a softmax hidden before its last layer."""
    noise = np.random.default_rng(0).integers(0, 256, (8, model.size, model.size), np.uint8)
    outputs = model.logits(noise)
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-4):
        raise InputError(
            f"{path} gives probabilities where logits are needed: a softmax comes before its last "
            "layer; save the model without the layers after it"
        )


def logits_model(model: keras.Model) -> keras.Model:
    """Return a copy of a model that ends before its softmax.

    Args:
        model: Ends in a Dense layer, linear or with a softmax activation, or in a separate softmax
            layer; the last layer may be in a nested model.

    Raises:
        InputError: It ends in anything else.

    """
    config = copy.deepcopy(model.get_config())
    linearize(config)
    twin = type(model).from_config(config)
    twin.set_weights(model.get_weights())
    return twin


def linearize(config: dict[str, Any]) -> None:
    """Remove the softmax of the last layer from a Keras model's configuration, in place.

    Raises:
        InputError: The last layer gives neither logits nor a softmax.

    """
    entry = _last_layer(config)
    kind, settings = entry["class_name"], entry["config"]
    if kind in _CONTAINERS:
        linearize(settings)
    elif kind == "Softmax":
        entry["module"], entry["class_name"] = "keras.layers", "Activation"
        kept = {key: settings[key] for key in ("name", "trainable", "dtype") if key in settings}
        entry["config"] = {**kept, "activation": "linear"}
        for node in entry.get("inbound_nodes", []):
            node["kwargs"].pop("mask", None)  # unknown to an Activation layer
    elif kind in {"Dense", "Activation"}:
        activation = settings["activation"]
        if activation not in ("softmax", "linear"):
            raise InputError(
                f"its last layer has the activation {_name(activation)}, from which no logits "
                "can be recovered: train it with a softmax or without an activation at the end"
            )
        settings["activation"] = "linear"
    else:
        raise InputError(
            f"its last layer is {kind}: it must be a Dense layer, linear or with a softmax, or a "
            "Softmax or Activation layer"
        )


def _last_layer(config: dict[str, Any]) -> dict[str, Any]:
    """Return the layer whose output is the model's."""
    layers: list[dict[str, Any]] = config["layers"]
    outputs = config.get("output_layers")
    if not outputs:
        return layers[-1]
    # A single output is written as [name, node, tensor] or as a list of one of these.
    name = outputs[0] if isinstance(outputs[0], str) else outputs[0][0]
    return next(layer for layer in layers if layer["config"]["name"] == name)


def _name(activation: object) -> str:
    if isinstance(activation, dict):
        inner = activation.get("config")
        return str(inner if isinstance(inner, str) else activation.get("class_name"))
    return str(activation)

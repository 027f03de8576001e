"""The network: a pretrained MobileNet over grey faces, with seven logits."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from serenbox.results import EMOTIONS
from training.errors import RunError
from training.faceres import load_faceres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.fit_settings import Backbone

BACKBONES = {
    "mobilenet_v2": keras.applications.MobileNetV2,
    "mobilenet_v1": keras.applications.MobileNet,
}
"""The function that makes each `fit_settings.Backbone`."""


def build_network(
    size: int | None,
    *,
    backbone: Backbone = "mobilenet_v2",
    alpha: float = 1.0,
    dropout: float = 0.2,
) -> keras.Model:
    """Make an untrained network.

    It takes raw grey pixels (n, size, size, 1), 0..255, and returns (n, 7) logits in the order of
    `EMOTIONS`; scaling to -1..1, which MobileNets expect, is built in. With `size` None it takes
    any side that is a multiple of 32.
    """
    pixels = keras.Input((size, size, 1), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_to_unit")(pixels)
    features = BACKBONES[backbone](
        input_tensor=scaled, alpha=alpha, include_top=False, weights=None, pooling="avg"
    ).output
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    logits = keras.layers.Dense(len(EMOTIONS), name="logits")(features)
    return keras.Model(pixels, logits, name="serenbox_emotion")


def load_network(path: Path, role: str, *, weights_only: bool = False) -> keras.Model:
    """Read a .keras file that `fit` made.

    Args:
        path: The file.
        role: What the error message calls it.
        weights_only: Whether its answers do not matter, so that any side of the input and any
            activation at the end will do.

    Raises:
        RunError: It cannot be read, or it is another kind of network.

    """
    if not path.is_file():
        msg = f"{role} {path} does not exist: give a .keras file that `fit` made"
        raise RunError(msg)
    try:
        network = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        msg = f"{role} {path} is not a whole Keras model: {str(error).splitlines()[0]}"
        raise RunError(msg) from error
    if network.output_shape != (None, len(EMOTIONS)) or network.input_shape[3:] != (1,):
        msg = (
            f"{role} {path} does not take grey faces and give {len(EMOTIONS)} logits: it was "
            "not made by `fit`"
        )
        raise RunError(msg)
    if not weights_only:
        _check_side(network, f"{role} {path}")
        _check_logits(network, f"{role} {path}")
    return network


def _check_side(network: keras.Model, name: str) -> None:
    height, width = network.input_shape[1:3]
    if height is None or height != width:
        msg = (
            f"{name} takes pictures of {height or 'any'} x {width or 'any'} pixels, and a fixed "
            "square side is needed: save it with such an input, as `fit` does"
        )
        raise RunError(msg)


def _check_logits(network: keras.Model, name: str) -> None:
    """Refuse probabilities, which would silently be scored as if they were logits."""
    activation = _last_activation(network)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *network.input_shape[1:]))
    answers = keras.ops.convert_to_numpy(network(pixels.astype(np.float32), training=False))
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-4):
        activation = "softmax"  # even if it is none of a layer's
    if activation != "linear":
        msg = (
            f"{name} ends in {activation}, and logits are needed: save it without that "
            "activation at its end"
        )
        raise RunError(msg)


def _last_activation(network: keras.Model) -> str:
    """Return the name of the activation that a network ends in; its last layer may be a network."""
    last = network
    while isinstance(last, keras.Model):
        last = last.outputs[0]._keras_history.operation  # noqa: SLF001 - Keras has no other way
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    activation = getattr(last, "activation", keras.activations.linear)
    return str(getattr(activation, "__name__", type(activation).__name__))


def load_backbone(
    network: keras.Model,
    weights: str,
    pixels: NDArray[np.float32],
    *,
    backbone: Backbone = "mobilenet_v2",
    alpha: float,
) -> None:
    """Fill the backbone of `network` in place with trained weights.

    Args:
        network: made by `build_network`.
        weights: `imagenet` (Keras downloads it), `none`, a .weights.h5 file of the backbone in
            `keras.applications` with `include_top=False`, FaceRes's .json, or a .keras file that
            `fit` made, whose head is loaded, too.
        pixels: (n, size, size, 1) grey faces, 0..255, to estimate FaceRes's statistics from.
        backbone: as given to `build_network`.
        alpha: width multiplier, likewise.

    Raises:
        RunError: the file is missing or does not fit.

    """
    if weights == "none":
        return
    if weights != "imagenet" and not Path(weights).is_file():
        msg = (
            f"--weights {weights}: no such file; give 'imagenet', 'none', a .weights.h5 file, "
            "FaceRes's .json or a .keras file that `fit` made"
        )
        raise RunError(msg)
    kind = Path(weights).suffix
    if kind == ".json":
        load_faceres(network, Path(weights), pixels)
    elif kind == ".keras":
        _continue_from(network, weights, backbone, alpha)
    else:
        _begin_from(network, weights, backbone, alpha)


def _begin_from(network: keras.Model, weights: str, backbone: Backbone, alpha: float) -> None:
    """Load the weights of `keras.applications`, downloaded or from a file."""
    from_file = weights != "imagenet"
    try:
        source = BACKBONES[backbone](
            input_shape=(96, 96, 3),
            alpha=alpha,
            include_top=False,
            weights=None if from_file else "imagenet",
        )
        if from_file:
            source.load_weights(weights)
    except Exception as error:
        wanted = f"{backbone} and alpha {alpha}"
        msg = f"--weights {weights}: {error}; give the path of a file that fits {wanted}"
        raise RunError(msg) from error
    for layer in source.layers:
        values = layer.get_weights()
        if values:
            target = network.get_layer(layer.name)
            target.set_weights(_grey_stem(values, target))


def _continue_from(network: keras.Model, weights: str, backbone: Backbone, alpha: float) -> None:
    source = load_network(Path(weights), "--weights", weights_only=True)
    try:
        network.set_weights(source.get_weights())
    except ValueError as error:
        msg = f"--weights {weights}: it is a different network from {backbone} of alpha {alpha}"
        raise RunError(msg) from error


def _grey_stem(values: list[Any], target: Any) -> list[Any]:
    """Sum a kernel over its input colours if the target has only one: exact for grey pictures."""
    if values[0].shape != tuple(target.weights[0].shape):
        return [values[0].sum(axis=2, keepdims=True), *values[1:]]
    return values


def with_size(
    network: keras.Model, size: int, *, backbone: Backbone = "mobilenet_v2", alpha: float
) -> keras.Model:
    """Copy a network of any size into one of fixed size, as the converter needs it."""
    fixed = build_network(size, backbone=backbone, alpha=alpha)
    fixed.set_weights(network.get_weights())
    return fixed

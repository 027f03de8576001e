"""The network: a pretrained MobileNet over grey faces, with seven logits."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from serenbox.results import EMOTIONS
from training.errors import RunError
from training.faceres import load_faceres

if TYPE_CHECKING:
    import numpy as np
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


def load_network(path: Path, role: str) -> keras.Model:
    """Read a .keras file that `fit` made.

    Args:
        path: The file.
        role: What the error message calls it.

    Raises:
        RunError: It cannot be read, or it is another kind of network.

    """
    if not path.is_file():
        msg = f"{role} {path} does not exist: give a .keras file that `fit` made"
        raise RunError(msg)
    try:
        network = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        msg = f"{role} {path} is not a whole Keras model: {str(error).splitlines()[0]}"
        raise RunError(msg) from error
    if network.output_shape != (None, len(EMOTIONS)) or network.input_shape[3:] != (1,):
        msg = (
            f"{role} {path} does not take grey faces and give {len(EMOTIONS)} logits: it was "
            "not made by `fit`"
        )
        raise RunError(msg)
    return network


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
    source = load_network(Path(weights), "--weights")
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

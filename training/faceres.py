"""A backbone that knows faces: the MobileNet (v1) of FaceRes, trained to tell people apart.

ImageNet has few faces; telling thousands of people apart in millions of pictures teaches a network
far more about them. FaceRes (Savchenko 2019, doi 10.7717/peerj-cs.197) was trained on VGGFace2 to
recognise people, then their age and sex, but never an emotion. It is published as a TensorFlow.js
graph: a .json file with its operations beside a .bin file with its weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_MEAN_COLOR = np.array([103.939, 116.779, 123.68])
"""What FaceRes subtracts from its pixels, blue, green and red: the means that VGG networks were
trained with (Simonyan and Zisserman 2015, arXiv 1409.1556)."""

_HALF_RANGE = 127.5
"""`training.network` scales pixels to -1..1: p / 127.5 - 1."""

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)

_LEAST_VARIANCE = 1e-6
"""Keeps the variance of a constant channel, E[x^2] - E[x]^2, from being negative by rounding."""


@dataclass(frozen=True, eq=False)
class _Convolution:
    """A convolution and the scaling after it: outputs * scale + offset, per channel."""

    name: str
    kernel: NDArray[np.float32]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]


def load_faceres(network: keras.Model, path: Path, pixels: NDArray[np.float32]) -> None:
    """Fill the MobileNet in `network` with the weights of FaceRes, in place.

    FaceRes is published with its batch normalizations folded away. For training they are put back
    with the mean and variance that `pixels` give, so that the network answers as before.

    Args:
        network: made by `training.network.build_network`, over grey pixels.
        path: `faceres.json`, with its weights beside it.
        pixels: (n, size, size, 1) grey faces, 0..255.

    Raises:
        RunError: the files cannot be read, hold something else, or do not fit the network.

    """
    try:
        convolutions = list(_convolutions(path))
        if len(convolutions) != sum(isinstance(layer, _CONVOLUTIONS) for layer in network.layers):
            msg = f"it has {len(convolutions)} convolutions"
            raise ValueError(msg)  # noqa: TRY301 - reported like other defects of the files
        for each in convolutions:
            _fill(network, each)
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = (
            f"--weights {path}: this is not FaceRes as TensorFlow.js has it, or not of this width "
            f"({reason}); give its faceres.json, with faceres.bin beside it"
        )
        raise RunError(msg) from error
    _put_statistics_back(network, [each.name for each in convolutions], pixels)


def _convolutions(path: Path) -> Iterator[_Convolution]:
    """Read the convolutions; Keras's MobileNet has the same ones under the same names."""
    graph = json.loads(path.read_text())
    weights = _weights(graph, path)
    inputs = {node["name"]: node.get("input", []) for node in graph["modelTopology"]["node"]}
    for node in graph["modelTopology"]["node"]:
        if node["op"] not in ("Conv2D", "DepthwiseConv2dNative"):
            continue
        # A full convolution has the scale in its kernel, and is named after its normalization.
        name = node["name"].split("/")[0].removesuffix("_bn")
        normalization = f"{name}_bn/batchnorm_1"
        offset = weights[inputs[f"{normalization}/add_1"][1]].reshape(-1)
        scale = np.ones_like(offset)
        if node["op"] == "DepthwiseConv2dNative":
            scale = weights[inputs[f"{normalization}/mul_1"][1]].reshape(-1)
        kernel = weights[inputs[node["name"]][1]]
        if kernel.shape[2] == len(_MEAN_COLOR):
            offset = offset + np.einsum("hwio,i->o", kernel, _HALF_RANGE - _MEAN_COLOR)
            kernel = kernel.sum(axis=2, keepdims=True) * _HALF_RANGE
        yield _Convolution(name, kernel, scale, offset)


def _weights(graph: dict[str, Any], path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the constants by name; the manifest lists them in file order."""
    weights = {}
    for group in graph["weightsManifest"]:
        content = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        place = 0
        for entry in group["weights"]:
            # Weights quantized to float16 are stored as such, but used as float32.
            dtype = np.dtype(entry.get("quantization", entry)["dtype"])
            count = int(np.prod(entry["shape"], dtype=int))
            values = np.frombuffer(content, dtype, count, place)
            weights[entry["name"]] = values.reshape(entry["shape"]).astype(np.float32)
            place += values.nbytes
    return weights


def _fill(network: keras.Model, each: _Convolution) -> None:
    normalization = network.get_layer(f"{each.name}_bn")
    network.get_layer(each.name).set_weights([each.kernel])
    zeros, ones = np.zeros_like(each.offset), np.ones_like(each.offset)
    gamma = each.scale * np.sqrt(1 + normalization.epsilon)
    normalization.set_weights([gamma, each.offset, zeros, ones])


def _put_statistics_back(
    network: keras.Model, names: list[str], pixels: NDArray[np.float32]
) -> None:
    """Set mean and variance of the batch normalizations; adjust scale and offset to match."""
    outputs = [network.get_layer(name).output for name in names]
    moments = [
        ops.mean(power, axis=(1, 2)) for output in outputs for power in (output, output * output)
    ]
    seen = keras.Model(network.inputs, moments).predict(pixels, verbose=0)
    averages = [np.mean(values, axis=0, dtype=np.float64) for values in seen]
    for name, mean, square in zip(names, averages[::2], averages[1::2], strict=True):
        variance = np.maximum(square - mean**2, _LEAST_VARIANCE)
        normalization = network.get_layer(f"{name}_bn")
        gamma, beta, old_mean, old_variance = normalization.get_weights()
        scale = gamma / np.sqrt(old_variance + normalization.epsilon)
        normalization.set_weights(
            [
                scale * np.sqrt(variance + normalization.epsilon),
                beta + scale * (mean - old_mean),
                mean,
                variance,
            ]
        )

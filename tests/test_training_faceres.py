"""FaceRes's weights come in the format of TensorFlow.js: each test writes small files of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from training.errors import RunError
from training.faceres import load_faceres
from training.network import build_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALPHA = 0.25
SIZE = 64


def pixels(count: int) -> np.ndarray:
    """Make pictures of large patches, so that they differ as a whole and not only in detail."""
    patches = np.random.default_rng(0).uniform(0, 255, (count, 4, 4, 1)).astype(np.float32)
    return patches.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


def color_network() -> keras.Model:
    """Make a network like FaceRes: MobileNet over blue, green and red minus their means."""
    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3), alpha=ALPHA, include_top=False, weights=None, pooling="avg"
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            gamma, beta, *statistics = layer.get_weights()
            chance = np.random.default_rng(gamma.size)
            layer.set_weights(
                [chance.uniform(0.5, 1.5, gamma.size), chance.uniform(0, 1, beta.size), *statistics]
            )
    network(colors(pixels(16)), training=True)  # sets the moving statistics to those of this batch
    return network


def colors(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey, 3, axis=3) - np.array([103.939, 116.779, 123.68], np.float32)


def write_graph(network: keras.Model, path: Path, dtype: str = "float32") -> None:
    """Write a network as FaceRes is published: normalizations folded into scales and offsets."""
    nodes, weights = [], {}

    def add(op: str, name: str, before: str, constant: str, values: np.ndarray) -> None:
        nodes.append({"op": op, "name": name, "input": [before, constant]})
        weights[constant] = values

    for layer in network.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            continue
        kernel = layer.get_weights()[0]
        normalization = network.get_layer(f"{layer.name}_bn")
        gamma, beta, mean, variance = normalization.get_weights()
        scale = gamma / np.sqrt(variance + normalization.epsilon)
        folded = f"{layer.name}_bn/batchnorm_1"
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            add("DepthwiseConv2dNative", f"{layer.name}/depthwise", "x", f"{layer.name}/k", kernel)
            add("Mul", f"{folded}/mul_1", f"{layer.name}/depthwise", f"{layer.name}/mul", scale)
        else:
            add("Conv2D", f"{folded}/mul_1", "x", f"{layer.name}/k", kernel * scale)
        add("Add", f"{folded}/add_1", f"{folded}/mul_1", f"{layer.name}/b", beta - mean * scale)
    halves = {"quantization": {"dtype": dtype}} if dtype != "float32" else {}
    entries = [
        {"name": name, "shape": list(values.shape), "dtype": "float32", **halves}
        for name, values in weights.items()
    ]
    manifest = [{"paths": ["faceres.bin"], "weights": entries}]
    graph = {"modelTopology": {"node": nodes}, "weightsManifest": manifest}
    path.write_text(json.dumps(graph))
    content = b"".join(values.astype(dtype).tobytes() for values in weights.values())
    path.with_name("faceres.bin").write_bytes(content)


def grey_network() -> keras.Model:
    return build_network(SIZE, backbone="mobilenet_v1", alpha=ALPHA)


def seen_by(
    network: keras.Model, pictures: np.ndarray, layer: str, *, training: bool = False
) -> np.ndarray:
    outputs = keras.Model(network.input, network.get_layer(layer).output)
    return np.asarray(outputs(pictures, training=training))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_grey_network_sees_what_the_color_one_sees(tmp_path: Path, dtype: str) -> None:
    color, grey = color_network(), pixels(8)
    write_graph(color, tmp_path / "faceres.json", dtype)
    network = grey_network()

    load_faceres(network, tmp_path / "faceres.json", grey)

    # The two pad the bottom and the right of the picture with slightly different greys.
    inside = np.s_[:, :-1, :-1]
    first = [seen_by(network, grey, "conv1_relu"), seen_by(color, colors(grey), "conv1_relu")]
    np.testing.assert_allclose(first[0][inside], first[1][inside], atol=0.01)
    behind = [
        keras.Model(each.get_layer("conv1_relu").output, each.get_layer("conv_pw_13_relu").output)
        for each in (network, color)
    ]
    last = [np.asarray(each(first[1])) for each in behind]
    np.testing.assert_allclose(last[0], last[1], atol=0.02 if dtype == "float32" else 0.2)
    assert last[1].std(axis=0).mean() > 0.3


def test_batches_are_normalized_with_the_statistics_they_have(tmp_path: Path) -> None:
    grey = pixels(16)
    write_graph(color_network(), tmp_path / "faceres.json")
    network = grey_network()

    load_faceres(network, tmp_path / "faceres.json", grey)

    answers = seen_by(network, grey, "conv_pw_13_relu")
    trained = seen_by(network, grey, "conv_pw_13_relu", training=True)
    np.testing.assert_allclose(trained, answers, atol=0.01 * np.ptp(answers))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_text("{"), "Expecting property name"),
        (lambda path: path.write_text("{}"), "weightsManifest"),
        (
            lambda path: path.write_text('{"modelTopology": {"node": []}, "weightsManifest": []}'),
            "0 convolutions",
        ),
        (lambda path: path.with_name("faceres.bin").unlink(), "No such file"),
        (lambda path: path.with_name("faceres.bin").write_bytes(b"1234"), "buffer"),
    ],
    ids=["not json", "another json", "empty", "no weights", "cut weights"],
)
def test_damaged_files_are_refused(
    tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "faceres.json"
    write_graph(color_network(), path)
    damage(path)

    with pytest.raises(RunError, match=reason) as caught:
        load_faceres(grey_network(), path, pixels(1))

    assert "give its faceres.json" in str(caught.value)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "faceres.json"
    write_graph(color_network(), path)
    wider = build_network(SIZE, backbone="mobilenet_v1", alpha=0.5)

    with pytest.raises(RunError, match="not of this width"):
        load_faceres(wider, path, pixels(1))

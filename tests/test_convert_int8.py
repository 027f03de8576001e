"""What happens between calibration and quantisation, on a small network with a residual path."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

import keras
from ai_edge_litert.interpreter import Interpreter

from convert.graph import Graph, fold_scaling
from convert.quantize import _calibrated, quantize
from convert.ranges import best_range, squared_error, tighten_ranges
from convert.source import FloatModel, load_float_model
from serenbox.runtime import open_model
from training.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FACES = np.random.default_rng(1).integers(0, 256, (40, 48, 48)).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FloatModel:
    """A network like ours but tiny; one channel is far larger than the others."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    pixels = keras.Input((48, 48, 1))
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.ReLU(6)(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 1)(y)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    network = keras.Model(pixels, layers.Dense(7)(x))
    kernel, bias = network.layers[-1].get_weights()
    kernel[3] *= 30
    network.layers[-1].set_weights([kernel, bias + np.linspace(-1, 1, 7)])
    path: Path = tmp_path_factory.mktemp("int8") / "model.keras"
    network.save(path)
    return load_float_model(path, "0..255", 7)


def inputs(graph: Graph, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a graph takes for (n, 48, 48) faces."""
    pixels = faces[..., np.newaxis].astype(np.float32)
    return pixels + np.float32(min(0.0, graph.range(graph.input)[0]))


def run_float(graph: Graph, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    interpreter = Interpreter(model_content=graph.to_bytes())
    interpreter.allocate_tensors()
    (entry,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for one in inputs(graph, faces):
        interpreter.set_tensor(entry["index"], one[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(out["index"])[0].copy())
    return np.stack(rows)


def run_int8(content: bytes, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    loaded = open_model(content)
    rows = [loaded.run(face[np.newaxis, ..., np.newaxis])[0] for face in faces]
    return loaded.outputs[0].dequantize(np.concatenate(rows))


def calibrated(model: FloatModel, faces: NDArray[np.uint8] = FACES) -> Graph:
    with quiet():
        return Graph(_calibrated(model, faces))


def test_the_scaling_of_pixels_becomes_part_of_the_first_convolution(model: FloatModel) -> None:
    graph = calibrated(model)
    assert graph.nodes[0].kind in ("MUL", "ADD")
    before = run_float(graph, FACES)
    assert fold_scaling(graph)
    assert graph.nodes[0].kind == "CONV_2D"
    low, high = graph.range(graph.input)
    assert low in (-128, -127)
    assert high - low == 255
    # What is padded with is half a grey level off.
    assert np.abs(run_float(graph, FACES) - before).max() < 0.03 * before.std()
    assert not fold_scaling(graph)


def test_the_range_of_least_error_cuts_a_rare_extreme_off() -> None:
    values = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    values[0] = 60
    low, high = best_range(values)
    assert high < 60
    assert squared_error(values, low, high) < 0.95 * squared_error(values, low, 60)
    positive = np.abs(values[1:])
    assert best_range(positive)[0] == 0
    assert best_range(np.zeros(5, np.float32)) == (0, 0)


def test_ranges_become_what_the_faces_need_but_that_of_the_answer(model: FloatModel) -> None:
    graph = calibrated(model)
    fold_scaling(graph)
    seen = {node.output: graph.range(node.output) for node in graph.nodes}
    for tensor, (low, high) in seen.items():
        graph.set_range(tensor, 40 * low, 40 * high)
    tighten_ranges(graph, inputs(graph, FACES))
    low, high = seen.pop(graph.output)
    assert graph.range(graph.output) == pytest.approx((40 * low, 40 * high))
    for tensor, (low, high) in seen.items():
        chosen_low, chosen_high = graph.range(tensor)
        # What is padded with is half a grey level off.
        assert 1.05 * low <= chosen_low <= 0 <= chosen_high <= 1.05 * high
        assert chosen_high - chosen_low > 0.1 * (high - low)


def test_int8_answers_nearly_as_the_float_model_does(model: FloatModel) -> None:
    exact = model.logits(FACES)
    error = np.abs(run_int8(quantize(model, FACES), FACES) - exact)
    assert error.max() < 0.03 * np.ptp(exact)

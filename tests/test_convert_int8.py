"""What happens between calibration and quantisation, on a small network with a residual path."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

import keras
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from convert.finetune import fine_tune
from convert.flatbuffer import read_structure
from convert.graph import Graph, fold_scaling
from convert.quantize import _calibrated, quantize
from convert.ranges import best_range, cut_ranges, squared_error, tighten_ranges
from convert.simulate import Simulation, obstacle
from convert.source import FloatModel, load_float_model
from serenbox.runtime import open_model
from training.augment import TrainingBatches
from training.fit_settings import Augmentation
from training.quiet import quiet

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
    """Return a graph's inputs for (n, 48, 48) faces."""
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


def quantized(model: FloatModel, steps: int) -> bytes:
    return quantize(model, FACES, FACES, steps, lambda _: None)


def test_the_scaling_of_pixels_becomes_part_of_the_first_convolution(model: FloatModel) -> None:
    graph = calibrated(model)
    assert graph.nodes[0].kind in ("MUL", "ADD")
    before = run_float(graph, FACES)
    assert fold_scaling(graph)
    assert graph.nodes[0].kind == "CONV_2D"
    low, high = graph.range(graph.input)
    assert low in (-128, -127)
    assert high - low == 255
    # The padding is half a grey level off.
    assert np.abs(run_float(graph, FACES) - before).max() < 0.03 * before.std()
    assert not fold_scaling(graph)


def test_the_range_of_least_error_cuts_a_rare_extreme_off() -> None:
    values = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    values[0] = 60
    low, high = best_range(values)
    assert high < 0.95 * 60
    assert squared_error(values, low, high) < 0.95 * squared_error(values, low, 60)
    assert best_range(-values)[0] > -0.95 * 60
    positive = np.abs(values[1:])
    assert best_range(positive)[0] == 0
    assert best_range(np.zeros(5, np.float32)) == (0, 0)


def test_trained_for_ranges_are_shorter(model: FloatModel) -> None:
    graph = calibrated(model)
    fold_scaling(graph)
    before = {node.output: graph.range(node.output) for node in graph.nodes}
    cut_ranges(graph)
    after = {node.output: graph.range(node.output) for node in graph.nodes}
    assert after.pop(graph.output) == before[graph.output]
    signs = set()
    for tensor, (low, high) in after.items():
        signs.add(low < 0)
        wanted = (0.65 * before[tensor][0], 0.65 * before[tensor][1]) if low < 0 else (0, 4)
        assert (low, high) == pytest.approx(wanted) or high == before[tensor][1] < 4
    assert signs == {True, False}


def test_ranges_of_another_scale_than_that_of_relu6_are_kept(tmp_path: Path) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(pixels)
    x = layers.Conv2D(4, 3, strides=2, activation="relu6")(x)
    x = layers.ZeroPadding2D(3)(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    graph = calibrated(save_and_load(network, tmp_path), FACES[:8])
    kinds = [(node.kind, node.output) for node in graph.nodes]
    for _, tensor in kinds[:-1]:
        graph.set_range(tensor, 0, 80)
    cut_ranges(graph)
    assert [(kind, graph.range(tensor)[1]) for kind, tensor in kinds[:-1]] == [
        ("CONV_2D", 80),
        ("CONV_2D", 4),
        ("PAD", 4),
        ("CONV_2D", 80),
        ("MEAN", 80),
    ]


def test_the_range_of_a_mean_is_that_of_what_relu6_gives(tmp_path: Path) -> None:
    pixels = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu6")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(pixels, keras.layers.Dense(7)(x))
    graph = calibrated(save_and_load(network, tmp_path), FACES[:4])
    (mean,) = [node.output for node in graph.nodes if node.kind == "MEAN"]
    graph.set_range(mean, 0, 6)
    cut_ranges(graph)
    assert graph.range(mean) == (0, 4)


def test_the_simulation_answers_as_the_graph_does_and_rounds_as_int8_does(
    model: FloatModel,
) -> None:
    graph = calibrated(model)
    fold_scaling(graph)
    tighten_ranges(graph, inputs(graph, FACES))
    assert obstacle(graph) is None
    simulation = Simulation(graph)
    pixels = tf.constant(inputs(graph, FACES))
    exact = simulation.exact(pixels).numpy()
    np.testing.assert_allclose(exact, run_float(graph, FACES), atol=1e-3)
    rounded, real = simulation.rounded(pixels).numpy(), run_int8(quantized(model, 0), FACES)
    error = np.abs(real - exact).mean()
    assert np.abs(real - rounded).mean() < 0.25 * error


def test_noise_does_not_wake_what_relu_silences(tmp_path: Path) -> None:
    pixels = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(2, 1, activation="relu")(pixels)
    x = keras.layers.Conv2D(7, 48)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(pixels, keras.layers.Dense(7)(x))
    network.layers[-1].set_weights([np.eye(7), np.ones(7)])
    first, second = network.layers[1], network.layers[2]
    first.set_weights([np.ones((1, 1, 1, 2)), np.array([0, -1e4])])  # the other is always silent
    second.set_weights([np.tile([[1 / 48**2], [1.0]], (48, 48, 1, 7)), np.ones(7)])
    network.save(tmp_path / "model.keras")
    graph = calibrated(load_float_model(tmp_path / "model.keras", "0..255", 7))
    faces = tf.constant(inputs(graph, FACES))
    low, high = graph.range(graph.output)
    quiet_one, noisy = (Simulation(graph).rounded(faces, noise) for noise in (0.0, 1.0))
    assert np.abs(noisy - quiet_one).max() < 8 * (high - low) / 255


def test_fine_tuning_brings_int8_nearer_to_the_float_model(model: FloatModel) -> None:
    graph = calibrated(model)
    fold_scaling(graph)
    for node in graph.nodes[:-1]:  # steps too coarse for these weights
        low, high = graph.range(node.output)
        graph.set_range(node.output, 40 * low, 40 * high)
    unused = np.zeros((len(FACES), 7), np.float32)
    settings = {"augmentation": Augmentation(), "size": 48, "batch_size": 40}
    batch = TrainingBatches(FACES, unused, **settings, seed=9, epoch=0)[0][0]  # type: ignore[arg-type]
    pixels = tf.constant(batch - 128)
    wanted = Simulation(graph).exact(pixels).numpy()
    errors = []
    for steps in (0, 300):
        if steps:
            fine_tune(graph, FACES, lambda faces: faces - 128, steps, lambda _: None)
        errors.append(np.abs(Simulation(graph).rounded(pixels).numpy() - wanted).mean())
    assert errors[1] < 0.8 * errors[0]


def test_what_cannot_be_simulated_is_named(tmp_path: Path) -> None:
    pixels = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(4, 3, activation="sigmoid")(pixels)
    network = keras.Model(pixels, keras.layers.Dense(7)(keras.layers.Flatten()(x)))
    network.save(tmp_path / "model.keras")
    graph = calibrated(load_float_model(tmp_path / "model.keras", "0..255", 7), FACES[:4])
    assert obstacle(graph) == "LOGISTIC"


def test_fine_tuning_leaves_the_ranges_alone(model: FloatModel) -> None:
    graph = calibrated(model)
    fold_scaling(graph)
    ranges = [graph.range(node.output) for node in graph.nodes]
    said: list[str] = []
    fine_tune(graph, FACES, lambda pixels: pixels - 128, 2, said.append)
    assert [graph.range(node.output) for node in graph.nodes] == ranges
    assert said
    assert "2 of 2" in said[-1]


def save_and_load(network: keras.Model, folder: Path) -> FloatModel:
    """Give a network weights and biases none of which is 0; save it and read it back."""
    rng = np.random.default_rng(2)
    for layer in network.layers:
        layer.set_weights([part + rng.normal(0, 0.1, part.shape) for part in layer.get_weights()])
    network.save(folder / "model.keras")
    return load_float_model(folder / "model.keras", "0..255", 7)


def test_ranges_are_chosen_with_values_of_every_channel(tmp_path: Path) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Conv2D(24, 3, strides=2, padding="same", name="many")(x)
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    kernel, bias = network.get_layer("many").get_weights()
    loud = np.arange(24) % 6 == 1  # every sixth of the 24 * 24 * 24 values would miss these
    network.get_layer("many").set_weights([np.where(loud, 10, 1) * kernel, bias])
    graph = calibrated(save_and_load(network, tmp_path))
    fold_scaling(graph)
    first = graph.nodes[0].output
    low, high = graph.range(first)
    tighten_ranges(graph, inputs(graph, FACES))
    tightened = graph.range(first)
    assert tightened[1] - tightened[0] > 0.5 * (high - low)


def test_scaling_that_something_else_reads_stays(tmp_path: Path) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Add()([layers.Conv2D(1, 3, padding="same")(scaled), scaled])
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    graph = calibrated(save_and_load(network, tmp_path))
    before = run_float(graph, FACES)
    assert not fold_scaling(graph)
    np.testing.assert_array_equal(run_float(graph, FACES), before)


def per_channel(pixels: object) -> object:
    return keras.layers.Rescaling([0.01, 0.01, 0.01], offset=[-1.0, -1.1, -1.2])(pixels)


@pytest.mark.parametrize(
    ("channels", "begin"),
    [
        (3, per_channel),
        # No raw pixel stands for 0.
        (1, keras.layers.Rescaling(1 / 255, offset=0.5)),
        # What lies below 0 is lost before the convolution.
        (1, lambda pixels: keras.layers.ReLU()(keras.layers.Rescaling(0.01, offset=-1)(pixels))),
    ],
)
def test_scaling_that_one_convolution_cannot_do_stays(
    tmp_path: Path, channels: int, begin: Callable[[object], object]
) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, channels))
    x = layers.Conv2D(2, 3, padding="same")(begin(pixels))  # else TensorFlow folds it itself
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    graph = calibrated(save_and_load(network, tmp_path), FACES[:4])
    kinds = [node.kind for node in graph.nodes]
    assert kinds[0] == "MUL"
    assert not fold_scaling(graph)
    assert [node.kind for node in graph.nodes] == kinds


def test_a_subtraction_is_folded_as_well(tmp_path: Path) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    x = layers.Conv2D(2, 3, strides=2, padding="same")((pixels - 128.0) * 0.01)
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    graph = calibrated(save_and_load(network, tmp_path), FACES[:4])
    assert "SUB" in [node.kind for node in graph.nodes]
    before = run_float(graph, FACES)
    assert fold_scaling(graph)
    assert graph.range(graph.input) == (-128, 127)
    np.testing.assert_allclose(run_float(graph, FACES), before, atol=1e-4)


def test_a_range_has_a_place_for_0(model: FloatModel) -> None:
    graph = calibrated(model, FACES[:4])
    for seen, range_ in (((1, 3), (0, 3)), ((-3, -1), (-3, 0)), ((-1, 1), (-1, 1))):
        graph.set_range(graph.output, *seen)
        assert graph.range(graph.output) == range_


def test_int8_is_finer_than_the_extremes_in_calibration(model: FloatModel) -> None:
    graph = calibrated(model)
    fold_scaling(graph)
    steps = {node.output: np.ptp(graph.range(node.output)) / 255 for node in graph.nodes}
    tighten_ranges(graph, inputs(graph, FACES))
    finer = [tensor for tensor in steps if np.ptp(graph.range(tensor)) / 255 < 0.95 * steps[tensor]]
    assert finer
    (wanted, *_) = (np.ptp(graph.range(tensor)) / 255 for tensor in finer)
    tensors = read_structure(quantized(model, 0)).tensors
    scales = [tensor.scale[0] for tensor in tensors if len(tensor.scale) == 1]
    assert min(abs(scale - wanted) for scale in scales) < 0.01 * wanted


def test_operations_share_no_weights_that_are_trained(tmp_path: Path) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    twice = layers.Conv2D(4, 3, padding="same", activation="relu6")
    x = twice(layers.Conv2D(4, 3, strides=4, activation="relu6")(pixels))
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(twice(x))))
    graph = calibrated(save_and_load(network, tmp_path), FACES[:8])
    simulation = Simulation(graph)
    second = graph.nodes[2].inputs[1]
    wanted = 2 * graph.constant(second)
    kernel = simulation.variables[4]
    kernel.assign(2 * kernel)
    simulation.write_back()
    np.testing.assert_allclose(graph.constant(second), wanted)
    np.testing.assert_allclose(2 * graph.constant(graph.nodes[1].inputs[1]), wanted)


def test_dilated_and_multiplied_convolutions_are_simulated_as_they_are(tmp_path: Path) -> None:
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6")(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, activation="relu6")(x)
    x = layers.Conv2D(8, 3, dilation_rate=3, padding="same")(x)
    network = keras.Model(pixels, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    graph = calibrated(save_and_load(network, tmp_path), FACES[:8])
    fold_scaling(graph)
    assert obstacle(graph) is None
    exact = Simulation(graph).exact(tf.constant(inputs(graph, FACES[:8]))).numpy()
    np.testing.assert_allclose(exact, run_float(graph, FACES[:8]), atol=1e-3)
    fine_tune(graph, FACES, lambda faces: faces - 128, 1, lambda _: None)

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.errors import InputError
from training.quiet import import_tensorflow

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

import_tensorflow()

import keras  # noqa: E402 - only now is it certain to be there, on TensorFlow and silent
from keras import layers  # noqa: E402

from convert.source import load_float_model, logits_model  # noqa: E402

# numpy 2 warns about the way in which Keras 3.15 reads TensorFlow's variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FACES = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)


Layers = Callable[[], list[keras.Layer]]


def body(channels: int = 1, size: int = 8) -> list[Any]:
    return [keras.Input((size, size, channels)), layers.Flatten()]


def functional(*end: keras.Layer) -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    outputs = layers.Flatten()(inputs)
    for layer in end:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def nested(*end: keras.Layer) -> keras.Model:
    head = keras.Sequential([keras.Input((64,)), *end])
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, head(layers.Flatten()(inputs)))


def sequential(*end: keras.Layer) -> keras.Model:
    return keras.Sequential([*body(), *end])


def save(model: keras.Model, folder: Path) -> Path:
    path = folder / "model.keras"
    model.save(path)
    return path


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("shape", [functional, sequential, nested])
@pytest.mark.parametrize(
    "end",
    [
        lambda: [layers.Dense(7, activation="softmax")],
        lambda: [layers.Dense(7), layers.Softmax()],
        lambda: [layers.Dense(7), layers.Activation("softmax")],
    ],
)
def test_the_softmax_is_taken_off_and_the_original_kept(
    shape: Callable[..., keras.Model], end: Layers
) -> None:
    model = shape(*end())
    pixels = np.random.default_rng(1).normal(0, 1, (5, 8, 8, 1)).astype(np.float32)
    before = np.asarray(model(pixels))
    logits = np.asarray(logits_model(model)(pixels))
    assert not np.allclose(logits.sum(axis=1), 1)
    np.testing.assert_allclose(softmax(logits), before, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(model(pixels)), before)


def test_linear_outputs_are_taken_as_logits() -> None:
    model = sequential(layers.Dense(7))
    pixels = np.ones((2, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(
        np.asarray(logits_model(model)(pixels)), np.asarray(model(pixels))
    )


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda: [layers.Dense(7, activation="sigmoid")], "activation sigmoid"),
        (lambda: [layers.Dense(7), layers.Activation("tanh")], "activation tanh"),
        (lambda: [layers.Dense(7), layers.ReLU()], "last layer is ReLU"),
        (
            lambda: [layers.Dense(7, activation="softmax"), layers.Activation("linear")],
            "gives probabilities",
        ),
    ],
)
def test_other_ends_are_refused_with_the_reason(tmp_path: Path, end: Layers, reason: str) -> None:
    path = save(sequential(*end()), tmp_path)
    with pytest.raises(InputError, match=reason):
        load_float_model(path, "0..255", 7)


@pytest.mark.parametrize(("scale", "black", "white"), [("0..1", 0, 1), ("-1..1", -1, 1)])
def test_the_scaling_is_put_inside(tmp_path: Path, scale: str, black: int, white: int) -> None:
    model = keras.Sequential([*body(), layers.Dense(7, kernel_initializer="ones")])
    wrapped = load_float_model(save(model, tmp_path), scale, 7)
    faces = np.stack([np.full((48, 48), value, np.uint8) for value in (0, 255)])
    expected = [[64 * black] * 7, [64 * white] * 7]
    np.testing.assert_allclose(wrapped.logits(faces), expected, atol=1e-3)


@pytest.mark.parametrize(("channels", "color"), [(1, "grey"), (3, "rgb")])
def test_the_input_tells_size_and_color(tmp_path: Path, channels: int, color: str) -> None:
    model = keras.Sequential([*body(channels, size=16), layers.Dense(7)])
    loaded = load_float_model(save(model, tmp_path), "0..255", 7)
    assert (loaded.size, loaded.color) == (16, color)
    assert loaded.inputs(FACES).shape == (3, 16, 16, channels)
    assert loaded.inputs(FACES).dtype == np.uint8


def test_dropout_and_augmentation_do_nothing(tmp_path: Path) -> None:
    inert = [layers.RandomFlip(), layers.RandomRotation(0.2), layers.GaussianNoise(0.5)]
    end = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(7)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *inert, *end])
    loaded = load_float_model(save(model, tmp_path), "0..255", 7)
    np.testing.assert_array_equal(loaded.logits(FACES), loaded.logits(FACES))


@pytest.mark.parametrize(
    ("shape", "outputs", "reason"),
    [
        ((8, 8, 1), 5, "7 labels need"),
        ((8, 9, 1), 7, "takes an input of shape"),
        ((8, 8, 2), 7, "takes an input of shape"),
        ((None, None, 1), 7, "fixed side"),
        ((8, 8), 7, "takes an input of shape"),
    ],
)
def test_wrong_shapes_are_refused(
    tmp_path: Path, shape: tuple[int | None, ...], outputs: int, reason: str
) -> None:
    inputs = keras.Input(shape)
    pooled = layers.Flatten()(inputs)
    if len(shape) == 3:
        pooled = layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, layers.Dense(outputs)(pooled))
    with pytest.raises(InputError, match=reason):
        load_float_model(save(model, tmp_path), "0..255", 7)


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    first, second = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    outputs = layers.Dense(7)(layers.Flatten()(layers.Add()([first, second])))
    path = save(keras.Model([first, second], outputs), tmp_path)
    with pytest.raises(InputError, match="exactly one input"):
        load_float_model(path, "0..255", 7)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no archive", b"text"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a Keras model") as caught:
        load_float_model(path, "0..255", 7)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_float_model(tmp_path / "model.keras", "0..255", 7)

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from training.errors import RunError
from training.fused import fold, fuse
from training.loss import BalancedCrossEntropy
from training.network import build_network, load_backbone, load_network, with_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALPHA = 0.35


def pixels(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 1)).astype(np.float32)


def test_grey_backbone_equals_the_color_one_on_grey_pictures(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    color = keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=ALPHA, include_top=False, weights=None, pooling="avg"
    )
    path = tmp_path / "color.weights.h5"
    color.save_weights(path)
    network = build_network(64, alpha=ALPHA)

    load_backbone(network, str(path), pixels(1, 64), alpha=ALPHA)

    grey = pixels(2, 64)
    features = keras.Model(network.input, network.get_layer("dropout").output)
    expected = color(np.repeat(grey, 3, axis=3) / 127.5 - 1)
    np.testing.assert_allclose(features(grey), expected, atol=1e-4)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    other = keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=0.5, include_top=False, weights=None
    )
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)

    with pytest.raises(RunError, match="alpha"):
        load_backbone(build_network(64, alpha=ALPHA), str(path), pixels(1, 64), alpha=ALPHA)


def test_a_finished_network_is_gone_on_from_head_and_all(tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    finished, path = build_network(64, alpha=ALPHA), tmp_path / "model.keras"
    finished.save(path)
    network = build_network(None, alpha=ALPHA)

    load_backbone(network, str(path), pixels(1, 64), alpha=ALPHA)

    np.testing.assert_allclose(network(pixels(2, 64)), finished(pixels(2, 64)), atol=1e-5)
    with pytest.raises(RunError, match=r"a different network from mobilenet_v2 of alpha 0\.5"):
        load_backbone(build_network(64, alpha=0.5), str(path), pixels(1, 64), alpha=0.5)


def test_network_of_any_size_becomes_one_of_fixed_size() -> None:
    network = build_network(None, alpha=ALPHA)

    fixed = with_size(network, 64, alpha=ALPHA)

    assert fixed.input_shape == (None, 64, 64, 1)
    np.testing.assert_allclose(fixed(pixels(2, 64)), network(pixels(2, 64)), atol=1e-5)


def test_fused_normalization_trains_as_keras_own() -> None:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 4))
    normalized = keras.layers.BatchNormalization()(inputs)
    plain = keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(normalized)))
    networks = [plain, fuse(plain)]
    pictures = np.random.default_rng(0).normal(3, 2, (14, 8, 8, 4)).astype(np.float32)
    targets = np.eye(7, dtype=np.float32)[np.arange(14) % 7]
    losses = []
    for network in networks:
        loss = BalancedCrossEntropy(np.full(7, 1 / 7))
        network.compile(keras.optimizers.SGD(0.01), loss=loss, jit_compile=False)
        losses.append([float(network.train_on_batch(pictures, targets)) for _ in range(3)])

    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for mine, its in zip(networks[0].get_weights(), networks[1].get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=2e-3, atol=1e-4)  # variances: n / (n - 1)


def test_balanced_loss_adds_the_prior_to_the_logits() -> None:
    prior = np.array([0.9, 0.1])
    loss = BalancedCrossEntropy(prior)

    value = float(loss(np.array([[0.0, 1.0]], np.float32), np.zeros((1, 2), np.float32)))

    assert value == pytest.approx(-np.log(0.1), rel=1e-5)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_only_the_stated_part_of_the_prior_is_added(exponent: float) -> None:
    prior = np.array([0.9, 0.1])
    loss = BalancedCrossEntropy(prior, exponent)
    rare, logits = np.array([[0.0, 1.0]], np.float32), np.zeros((1, 2), np.float32)

    value = float(loss(rare, logits))

    assert value == pytest.approx(np.log1p(9**exponent), rel=1e-5)
    slightly = np.array([[0.0, 0.1]], np.float32)  # which the prior outweighs
    assert float(loss.accuracy(rare, slightly)[0]) == (exponent == 0)


def test_a_folded_network_answers_alike() -> None:
    keras.utils.set_random_seed(6)
    network = build_network(64, alpha=ALPHA)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weight.shape for weight in layer.get_weights()]
            layer.set_weights([np.random.default_rng(0).uniform(0.5, 2, shape) for shape in shapes])

    folded = fold(network)

    kinds = {type(layer) for layer in folded.layers}
    assert not {kind for kind in kinds if issubclass(kind, keras.layers.BatchNormalization)}
    expected = np.asarray(network(pixels(3, 64)))
    np.testing.assert_allclose(folded(pixels(3, 64)), expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(expected) > 0


def save_small(path: Path, end: Callable[[object], object], side: int | None = 8) -> Path:
    """Save a network of grey pictures whose features `end` turns into answers."""
    faces = keras.Input((side, side, 1))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(7, 3)(faces))
    keras.Model(faces, end(features)).save(path)
    return path


def nested(features: object) -> object:
    inner = keras.Sequential([keras.Input((7,)), keras.layers.Dense(7, activation="softmax")])
    return keras.Sequential([keras.Input((7,)), inner])(features)


@pytest.mark.parametrize(
    ("end", "activation"),
    [
        (keras.layers.Dense(7, activation="softmax"), "softmax"),
        (keras.layers.Softmax(), "softmax"),
        (keras.layers.Activation("sigmoid"), "sigmoid"),
        (nested, "softmax"),
        (lambda features: keras.layers.Rescaling(1.0)(keras.ops.softmax(features)), "softmax"),
    ],
)
def test_probabilities_are_not_taken_for_logits(
    tmp_path: Path, end: Callable[[object], object], activation: str
) -> None:
    path = save_small(tmp_path / "model.keras", end)

    with pytest.raises(RunError, match=rf"the model .* ends in {activation}, and logits are need"):
        load_network(path, "the model")


def test_logits_may_come_from_a_network_inside(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((7,)), keras.layers.Dense(7)])
    path = save_small(tmp_path / "model.keras", inner)

    assert load_network(path, "the model").input_shape == (None, 8, 8, 1)


def test_a_side_that_is_not_fixed_is_told(tmp_path: Path) -> None:
    path = save_small(tmp_path / "model.keras", keras.layers.Dense(7), side=None)

    with pytest.raises(RunError, match="pictures of any x any pixels, and a fixed square side is"):
        load_network(path, "the model")


def test_a_packed_file_of_an_unknown_kind_is_told(tmp_path: Path) -> None:
    path = save_small(tmp_path / "model.keras", keras.layers.Dense(7))
    content = path.read_bytes()
    # How the last member is compressed, in the list at the end.
    at = content.rindex(b"PK\x01\x02") + 10
    path.write_bytes(content[:at] + b"\x63\x00" + content[at + 2 :])

    with pytest.raises(RunError, match="is not a whole Keras model: That compression method"):
        load_network(path, "the model")


def test_weights_are_taken_from_a_network_of_any_side_and_end(tmp_path: Path) -> None:
    any_side = save_small(tmp_path / "any.keras", keras.layers.Softmax(), side=None)

    assert load_network(any_side, "--weights", weights_only=True).count_params() == 70

"""Tests of sharpness-aware minimization, against the formula computed in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from training.fused import FusedBatchNormalization
from training.sharpness import SharpnessAware

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

RADIUS = 0.3
RATE = 0.5


def trained_once(network: keras.Model, faces: Array, targets: Array) -> tuple[keras.Model, float]:
    aware = SharpnessAware(network, RADIUS)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    aware.compile(keras.optimizers.SGD(RATE), loss=loss)
    history = aware.fit(faces, targets, batch_size=len(faces), epochs=1, verbose=0).history
    return aware, history["loss"][0]


def gradient(weights: Array, faces: Array, targets: Array) -> Array:
    answers = np.exp(faces @ weights)
    answers /= answers.sum(axis=1, keepdims=True)
    return np.asarray(faces.T @ (answers - targets) / len(faces))


def test_a_step_follows_the_gradient_at_the_worst_point_nearby() -> None:
    rng = np.random.default_rng(0)
    faces = rng.normal(size=(6, 4)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(inputs))
    before = rng.normal(size=(4, 3)).astype(np.float32)
    network.set_weights([before])
    slope = gradient(before, faces, targets)
    worst = before + RADIUS * slope / np.linalg.norm(slope)
    wanted = before - RATE * gradient(worst, faces, targets)
    assert abs(wanted - (before - RATE * slope)).max() > 0.01, "a plain step must differ"
    aware, loss = trained_once(network, faces, targets)
    np.testing.assert_allclose(aware.get_weights()[0], wanted, atol=1e-5)
    answers = np.exp(faces @ before)
    chosen = answers[np.arange(6), targets.argmax(axis=1)] / answers.sum(axis=1)
    assert loss == pytest.approx(-np.log(chosen).mean(), abs=1e-5)


def test_moving_statistics_are_those_of_the_weights_themselves() -> None:
    rng = np.random.default_rng(0)
    faces = rng.normal(size=(6, 2, 2, 4)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    inputs = keras.Input((2, 2, 4))
    normalization = FusedBatchNormalization(momentum=0.9)
    features = normalization(keras.layers.Conv2D(3, 1, use_bias=False, name="mix")(inputs))
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(features))
    mean = (faces @ network.get_layer("mix").get_weights()[0][0, 0]).mean(axis=(0, 1, 2))
    trained_once(network, faces, targets)
    np.testing.assert_allclose(normalization.moving_mean, 0.1 * mean, atol=1e-5)
    assert not normalization.statistics_frozen

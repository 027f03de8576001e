"""Tests of sharpness-aware minimization, against the formula computed in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from tests import fer2013
from training.data import load_faces
from training.errors import RunError
from training.fit import FitSettings, Run
from training.fused import FusedBatchNormalization
from training.sharpness import SharpnessAware

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

RADIUS = 0.3
RATE = 0.5


def trained_once(network: keras.Model, faces: Array, targets: Array) -> keras.Model:
    aware = SharpnessAware(network, RADIUS)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    aware.compile(keras.optimizers.SGD(RATE), loss=loss)
    history = aware.fit(faces, targets, batch_size=len(faces), epochs=1, verbose=0).history
    aware.first_loss = history["loss"][0]
    return aware


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
    aware = trained_once(network, faces, targets)
    np.testing.assert_allclose(aware.get_weights()[0], wanted, atol=1e-5)
    answers = np.exp(faces @ before)
    chosen = answers[np.arange(6), targets.argmax(axis=1)] / answers.sum(axis=1)
    assert aware.first_loss == pytest.approx(-np.log(chosen).mean(), abs=1e-5)


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


def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    inputs = keras.Input((4,))
    with pytest.raises(RunError, match="--sharpness needs TensorFlow"):
        SharpnessAware(keras.Model(inputs, keras.layers.Dense(3)(inputs)), RADIUS)


def test_a_run_trains_with_it_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = fer2013.write_files(tmp_path)
    faces = load_faces(files / "fer2013.csv", files / "ferplus.csv")
    plain = FitSettings(
        backbone="mobilenet_v1",
        weights="none",
        alpha=0.1,
        size=32,
        small_epochs=0,
        epochs=1,
        batch_size=10,
    )
    kernels = []
    for settings in (plain, replace(plain, sharpness=0.5)):
        run = Run(faces, settings, tmp_path / str(settings.sharpness))
        run.start()
        run.train(lambda _: None)
        kernels.append(run.finished_network().get_layer("logits").get_weights()[0])
        again = Run(faces, settings, run.folder)
        again.resume()
        assert again.history == run.history
    assert abs(kernels[0] - kernels[1]).max() > 1e-6

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np
import pytest

from tests import fer2013
from training.distill import Teachers
from training.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

FACES = np.stack([cv2.resize(picture, (32, 32)) for _, picture, _ in fer2013.faces()[:20]]).astype(
    np.float32
)[..., np.newaxis]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two small networks that answer differently to every face."""
    folder = tmp_path_factory.mktemp("teachers")
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Rescaling(1 / 32), keras.layers.Flatten(), keras.layers.Dense(7)]
        keras.Sequential([keras.Input((32, 32, 1)), *layers]).save(folder / f"{seed}.keras")
    return [str(folder / f"{seed}.keras") for seed in (1, 2)]


def ask(teachers: list[str], shift: np.ndarray | None = None) -> np.ndarray:
    chosen = np.zeros(7) if shift is None else shift
    return Teachers(teachers, chosen, 1.0)(FACES, np.zeros((len(FACES), 7), np.float32))


def test_several_teachers_are_averaged(teachers: list[str]) -> None:
    both = ask(teachers)

    assert both.shape == (20, 7)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-5)
    one, other = ask(teachers[:1]), ask(teachers[1:])
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)


def test_answers_are_a_share_of_the_targets(teachers: list[str]) -> None:
    targets = np.eye(7, dtype=np.float32)[np.arange(len(FACES)) % 7]

    blended = Teachers(teachers, np.zeros(7), 0.25)(FACES, targets)

    np.testing.assert_allclose(blended, 0.75 * targets + 0.25 * ask(teachers), atol=1e-6)


def test_a_teacher_sees_faces_in_its_own_size(teachers: list[str]) -> None:
    large = np.stack([cv2.resize(face, (64, 64)) for face in FACES])[..., np.newaxis]
    back = np.stack([cv2.resize(face, (32, 32)) for face in large])[..., np.newaxis]
    teach = Teachers(teachers, np.zeros(7), 1.0)
    nothing = np.zeros((len(FACES), 7), np.float32)

    np.testing.assert_allclose(teach(large, nothing), teach(back, nothing), atol=1e-6)


def test_the_prior_is_put_back_into_the_answers(teachers: list[str]) -> None:
    shift = np.log(np.array([0.94, *[0.01] * 6]))

    plain, shifted = ask(teachers), ask(teachers, shift)

    assert (shifted[:, 0] > plain[:, 0]).all()


def test_what_is_no_network_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--teacher .*missing\.keras does not exist"):
        ask([str(tmp_path / "missing.keras")])
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(RunError, match="not a whole Keras model"):
        ask([str(tmp_path / "text.keras")])
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(7)]).save(tmp_path / "other.keras")
    content = bytearray((tmp_path / "other.keras").read_bytes())
    content[content.index(b"config.json") + 20] ^= 1  # in its data, not in a header
    (tmp_path / "damaged.keras").write_bytes(content)
    with pytest.raises(RunError, match="not a whole Keras model"):
        ask([str(tmp_path / "damaged.keras")])
    with pytest.raises(RunError, match="not made by `fit`"):
        ask([str(tmp_path / "other.keras")])
    softmax = [keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    keras.Sequential([keras.Input((32, 32, 1)), *softmax]).save(tmp_path / "softmax.keras")
    with pytest.raises(RunError, match=r"--teacher .*softmax\.keras ends in softmax"):
        ask([str(tmp_path / "softmax.keras")])

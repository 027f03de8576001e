"""The plots of data and evaluations: they can be drawn even from little or odd data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.results import EMOTIONS
from training import plots
from training.fit_settings import Augmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

Faces = tuple["NDArray[np.uint8]", "NDArray[np.float32]", "NDArray[np.int64]"]


def some(count: int) -> Faces:
    """Return `count` faces, scores and true emotions: the first emotion for all but the last."""
    rng = np.random.default_rng(3)
    truth = np.zeros(count, np.int64)
    truth[-1] = len(EMOTIONS) - 1
    images = rng.integers(0, 256, (count, 48, 48)).astype(np.uint8)
    return images, rng.dirichlet(np.ones(len(EMOTIONS)), count).astype(np.float32), truth


def size_of(png: bytes) -> tuple[int, int]:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert len(np.unique(image)) > 2  # it is not blank
    return image.shape[1], image.shape[0]


@pytest.mark.parametrize("count", [1, 30])
def test_all_can_be_drawn(count: int) -> None:
    images, scores, truth = some(count)

    wide, _ = size_of(plots.draw_examples(images, truth))
    assert size_of(plots.draw_mistakes(images, scores, truth))[0] == wide
    assert size_of(plots.draw_augmented(images[0], 64, Augmentation()))[0] == wide
    assert size_of(plots.draw_answers(images, scores, truth))
    assert size_of(plots.draw_calibration(scores, truth))


def test_there_may_be_no_mistake() -> None:
    images, scores, _ = some(5)

    assert size_of(plots.draw_mistakes(images, scores, scores.argmax(axis=1)))


def test_the_surest_mistakes_come_first() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7], [0.4, 0.6]], np.float32)

    assert plots.surest_mistakes(scores, np.array([1, 1, 0, 0, 1])).tolist() == [0, 3, 2]


def test_a_face_is_varied_the_same_for_the_same_seed() -> None:
    face = some(1)[0][0]
    first, again, other = (
        plots.draw_augmented(face, 64, Augmentation(), seed) for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other

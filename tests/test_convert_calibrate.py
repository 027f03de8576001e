import numpy as np
import pytest

from convert.calibrate import balanced, calibration_faces
from serenbox.results import EMOTIONS
from training.data import Faces
from training.errors import DataError


def test_the_classes_take_turns() -> None:
    truth = np.repeat(np.arange(7), 50)
    chosen = balanced(truth, 70)
    assert np.bincount(truth[chosen]).tolist() == [10] * 7
    assert len(set(chosen.tolist())) == 70


def test_a_small_class_is_taken_whole_and_the_others_fill_up() -> None:
    truth = np.repeat(np.arange(3), [100, 2, 100])
    chosen = balanced(truth, 42)
    assert np.bincount(truth[chosen]).tolist() == [20, 2, 20]


def test_there_are_no_more_than_there_are() -> None:
    truth = np.repeat(np.arange(3), [1, 2, 3])
    assert sorted(balanced(truth, 1000).tolist()) == list(range(6))


def test_the_choice_is_always_the_same() -> None:
    truth = np.random.default_rng(5).integers(0, 7, 300)
    assert balanced(truth, 40).tolist() == balanced(truth, 40).tolist()


def test_only_training_faces_that_no_test_split_holds() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (21, 48, 48)).astype(np.uint8)
    splits = np.repeat(["Training", "PublicTest", "PrivateTest"], 7)
    duplicate = np.zeros(21, np.bool_)
    faces = Faces(images, np.tile(np.arange(7), 3), splits, duplicate, None, {})
    chosen = calibration_faces(faces, "fer2013", 100)
    assert {image.tobytes() for image in chosen} == {image.tobytes() for image in images[:7]}
    duplicate[2] = True
    with pytest.raises(DataError, match=EMOTIONS[2]):
        calibration_faces(faces, "fer2013", 100)

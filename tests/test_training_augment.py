from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from tests.fer2013 import pattern
from training.augment import TrainingBatches, affine, augment
from training.fit_settings import Augmentation

NOTHING = Augmentation(**{field.name: 0.0 for field in dataclasses.fields(Augmentation)})


def test_without_changes_a_face_is_only_enlarged_or_mirrored() -> None:
    face = pattern(2, np.random.default_rng(0))
    enlarged = cv2.resize(face.astype(np.float32), (96, 96))

    seen = set()
    for seed in range(20):
        image, clear = augment(face, 96, NOTHING, np.random.default_rng(seed))
        np.testing.assert_array_equal(image, clear)
        mirrored = np.abs(image[:, ::-1] - enlarged).max() < np.abs(image - enlarged).max()
        np.testing.assert_allclose(image[:, ::-1] if mirrored else image, enlarged, atol=0.05)
        seen.add(mirrored)
    assert seen == {True, False}


def test_a_clear_face_differs_in_blur_and_noise_alone() -> None:
    face = pattern(2, np.random.default_rng(0))
    settings = dataclasses.replace(Augmentation(), blur=0, noise=1, occlusion=1)

    for seed in range(10):
        seen, clear = augment(face, 96, settings, np.random.default_rng(seed))
        noise = seen - clear
        assert 0 < noise.std() < 20
        assert abs(noise.mean()) < 2  # the same light, occlusion, rotation and shift

    seen, clear = augment(face, 96, dataclasses.replace(NOTHING, blur=1), np.random.default_rng(3))
    assert np.diff(seen).std() < np.diff(clear).std()


def test_a_covered_patch_may_touch_every_edge() -> None:
    white = np.full((48, 48), 255, np.uint8)
    covering = dataclasses.replace(NOTHING, occlusion=1.0)
    covered = np.zeros((32, 32), np.int64)

    for seed in range(1000):
        patch = augment(white, 32, covering, np.random.default_rng(seed))[0] < 255
        assert patch.any(axis=0).sum() <= 0.4 * 32
        assert patch.any(axis=1).sum() <= 0.4 * 32
        covered += patch

    top, bottom, left, right = (edge.sum() for edge in (*covered[[0, -1]], *covered.T[[0, -1]]))
    assert 0.7 < top / bottom < 1.4
    assert 0.7 < left / right < 1.4


def test_teacher_is_asked_about_clear_faces() -> None:
    images = np.stack([pattern(i % 7, np.random.default_rng(i)) for i in range(8)])
    targets = np.eye(7, dtype=np.float32)[np.arange(8) % 7]
    asked = []

    def teach(pixels: np.ndarray, targets: np.ndarray) -> np.ndarray:
        asked.append(pixels)
        return targets / 2

    noisy = dataclasses.replace(NOTHING, noise=1.0)
    batches = TrainingBatches(
        images, targets, size=32, batch_size=8, augmentation=noisy, seed=5, epoch=0, teach=teach
    )
    shown, taught = batches[0]

    clear = TrainingBatches(
        images, targets, size=32, batch_size=8, augmentation=NOTHING, seed=5, epoch=0
    )[0][0]
    assert asked[0].shape == shown.shape == (8, 32, 32, 1)
    assert np.abs(shown - asked[0]).std() > 1
    assert np.ptp(asked[0], axis=(1, 2, 3)).max() <= np.ptp(clear, axis=(1, 2, 3)).max() + 1
    np.testing.assert_allclose(taught.sum(axis=1), 0.5)


def test_contrast_leaves_the_light_as_it_is() -> None:
    face = (100 + np.arange(48 * 48).reshape(48, 48) % 40).astype(np.uint8)
    changing = dataclasses.replace(NOTHING, contrast=0.5)
    spread = []

    for seed in range(20):
        seen = augment(face, 48, changing, np.random.default_rng(seed))[0]
        assert seen.mean() == pytest.approx(face.mean(), abs=0.5)
        spread.append(seen.std() / face.std())

    assert min(spread) < 0.8
    assert max(spread) > 1.2


def test_a_face_is_turned_enlarged_and_moved_as_told() -> None:
    matrix = affine(96, flip=False, degrees=90, scale=2, shift=(0.25, 0))

    np.testing.assert_allclose(matrix[:, :2], [[0, -0.25], [0.25, 0]], atol=1e-12)
    centre = matrix @ np.array([47.5, 47.5, 1])
    np.testing.assert_allclose(centre, [23.5 + 0.25 * 48, 23.5])


@pytest.mark.parametrize("size", [64, 96])
def test_centre_stays_the_centre(size: int) -> None:
    matrix = affine(size, flip=True, degrees=33, scale=1.2, shift=(0, 0))

    centre = matrix @ np.array([(size - 1) / 2, (size - 1) / 2, 1])

    np.testing.assert_allclose(centre, [23.5, 23.5])


def test_batches_repeat_with_the_seed_and_differ_between_epochs() -> None:
    rng = np.random.default_rng(1)
    images = np.stack([pattern(i % 7, rng) for i in range(40)])
    targets = np.eye(7, dtype=np.float32)[np.arange(40) % 7]

    def batch(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        batches = TrainingBatches(
            images,
            targets,
            size=32,
            batch_size=8,
            augmentation=Augmentation(),
            seed=5,
            epoch=epoch,
        )
        assert len(batches) == 5
        return batches[3]

    np.testing.assert_array_equal(batch(0)[0], batch(0)[0])
    assert np.abs(batch(0)[0] - batch(1)[0]).max() > 0
    assert batch(0)[0].shape == (8, 32, 32, 1)
    assert batch(0)[0].min() >= 0
    assert batch(0)[0].max() <= 255


@pytest.mark.parametrize(("faces", "batches"), [(40, 5), (47, 5), (5, 1)])
def test_every_face_comes_at_most_once_in_an_epoch(faces: int, batches: int) -> None:
    images = np.stack([pattern(i % 7, np.random.default_rng(i)) for i in range(faces)])

    def epoch(seed: int) -> np.ndarray:
        made = TrainingBatches(
            images,
            np.eye(faces, dtype=np.float32),
            size=32,
            batch_size=8,
            augmentation=NOTHING,
            seed=seed,
            epoch=0,
        )
        assert len(made) == batches
        return np.concatenate([made[index][1] for index in range(len(made))])

    shown = epoch(5)
    assert len(shown) == min(faces, 8 * batches)
    assert np.isin(shown, (0, 1)).all(), "none is blended"
    assert shown.sum(axis=0).max() == 1
    assert (epoch(6) != shown).any(), "another seed has another order"


def test_blended_faces_come_with_blended_targets() -> None:
    images = np.stack([np.full((48, 48), 7 * i, np.uint8) for i in range(16)])
    targets = np.eye(16, dtype=np.float32)
    settings = dataclasses.replace(NOTHING, mixup=1.0)

    def batch(part: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        batches = TrainingBatches(
            images,
            targets,
            size=32,
            batch_size=8,
            augmentation=settings,
            seed=5,
            epoch=0,
            part=part,
        )
        return batches[1]

    pixels, blended = batch((0, 1))
    np.testing.assert_allclose(blended.sum(axis=1), 1, atol=1e-5)
    assert (blended > 0).sum() > 8
    # Each face is of one grey, so a picture's grey shows which faces it is made of.
    np.testing.assert_allclose(pixels[:, 0, 0, 0], blended @ (7.0 * np.arange(16)), atol=1e-3)
    parts = [batch((i, 3)) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), pixels)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), blended)

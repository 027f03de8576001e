"""Turn FER2013 faces into training batches: geometry, light and the defects of a real camera.

The device's crop is never framed exactly as FER2013 is, so every face is moved, scaled and turned
a little; a camera at two metres gives few pixels, noise and odd light, so some faces get these too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np

from training.labels import FACE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHITE = 255.0


@dataclass(frozen=True)
class Augmentation:
    """How far and how often a training face is changed."""

    rotation: float = 15.0
    """Largest turn to either side, degrees."""
    scale: float = 0.18
    """Largest relative change of size."""
    shift: float = 0.08
    """Largest move along each axis, as a share of the side."""
    contrast: float = 0.3
    """Largest relative change of contrast."""
    brightness: float = 30.0
    """Largest change of brightness, grey levels."""
    blur: float = 0.15
    """Share of the faces that first lose resolution, down to half of it."""
    noise: float = 0.2
    """Share of the faces that get noise, up to 10 grey levels of standard deviation."""
    occlusion: float = 0.25
    """Share of the faces of which a patch, up to 40 % of the side, is covered."""


def affine(
    size: int, *, flip: bool, degrees: float, scale: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """Give the (2, 3) matrix that takes a pixel of a `size` picture to its FER2013 face.

    Pixel centres are kept aligned as in `cv2.resize`; `shift` is a share of the side.
    """
    angle = math.radians(degrees)
    step = FACE_SIZE / size / scale
    turn = step * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    if flip:
        turn[0] = -turn[0]
    centre = (FACE_SIZE - 1) / 2 + FACE_SIZE * np.array(shift)
    offset = centre - turn @ np.full(2, (size - 1) / 2)
    return np.column_stack([turn, offset])


def augment(
    face: NDArray[np.uint8], size: int, settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw one variation of a face.

    Args:
        face: (48, 48) grey pixels.
        size: side of the result in pixels.
        settings: limits of the changes.
        rng: source of chance.

    Returns:
        (size, size) grey pixels, 0..255.

    """
    if rng.random() < settings.blur:
        small = int(rng.integers(FACE_SIZE // 2, FACE_SIZE))
        face = np.asarray(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
        face = np.asarray(cv2.resize(face, (FACE_SIZE, FACE_SIZE)), np.uint8)
    matrix = affine(
        size,
        flip=bool(rng.random() < 0.5),
        degrees=rng.uniform(-settings.rotation, settings.rotation),
        scale=1 + rng.uniform(-settings.scale, settings.scale),
        shift=(
            rng.uniform(-settings.shift, settings.shift),
            rng.uniform(-settings.shift, settings.shift),
        ),
    )
    warped = cv2.warpAffine(
        face.astype(np.float32),
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _camera(np.asarray(warped, np.float32), settings, rng)


def _camera(
    image: NDArray[np.float32], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change light, noise and occlusion of a (size, size) picture."""
    mean = image.mean()
    gain = 1 + rng.uniform(-settings.contrast, settings.contrast)
    image = (image - mean) * gain + mean
    image += rng.uniform(-settings.brightness, settings.brightness)
    if rng.random() < settings.noise:
        image += rng.normal(0, rng.uniform(0, 10), image.shape).astype(np.float32)
    if rng.random() < settings.occlusion:
        size = len(image)
        height, width = (rng.uniform(0.1, 0.4, 2) * size).astype(int)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        image[top : top + height, left : left + width] = rng.uniform(0, WHITE)
    return np.clip(image, 0, WHITE).astype(np.float32)


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc] # keras ships no types
    """One epoch of augmented batches; the same seed and epoch give the same pixels."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        targets: NDArray[np.float32],
        *,
        size: int,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        epoch: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Hold (n, 48, 48) `images` and their (n, 7) `targets`, shuffled for this epoch.

        With `part` (i, k) only the i-th of k equal parts of every batch is made, by one of k
        machines: the same pixels as in the whole batch.
        """
        super().__init__(workers=1)
        self._images, self._targets = images, targets
        self._size, self._batch_size = size, batch_size
        self._augmentation = augmentation
        self._seed = (seed, epoch)
        self._part = part
        self._order = np.random.default_rng(self._seed).permutation(len(images))

    def __len__(self) -> int:
        """Count whole batches; the rest of the shuffled faces wait for another epoch."""
        return max(1, len(self._order) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Make batch `index`: (b, size, size, 1) pixels 0..255 and (b, 7) targets."""
        start, stop = index * self._batch_size, (index + 1) * self._batch_size
        places = np.array_split(np.arange(start, min(stop, len(self._order))), self._part[1])
        mine = places[self._part[0]]
        # Each face has chances of its own, so that it is the same whoever makes it.
        faces = [
            augment(
                self._images[self._order[place]],
                self._size,
                self._augmentation,
                np.random.default_rng((*self._seed, place)),
            )
            for place in mine
        ]
        return np.stack(faces)[..., np.newaxis], self._targets[self._order[mine]]

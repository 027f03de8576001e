"""Augment FER2013 faces into training batches: geometry, light and the defects of a real camera.

The device's crop is never framed exactly as FER2013 is, so every face is moved, scaled and turned
a little; a camera at two metres gives few pixels, noise and odd light, so some faces get these too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np

from training.labels import FACE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from training.fit_settings import Augmentation

    Pixels = NDArray[np.float32]
    Targets = NDArray[np.float32]

WHITE = 255.0

MIXUP_BETA = 0.4
"""Both parameters of the beta distribution of a blended face's share."""


def affine(
    size: int, *, flip: bool, degrees: float, scale: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the (2, 3) matrix that maps a pixel of a `size` picture to its FER2013 face.

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
    """Augment a face at random.

    Args:
        face: (48, 48) grey pixels.
        size: side of the results in pixels.
        settings: limits of the changes.
        rng: random generator.

    Returns:
        (2, size, size) grey pixels, 0..255: the augmented face, and the same one as a camera
        without blur and noise would have seen it.

    """
    seen = _degraded(face, settings, rng)
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
    # Both at once, as two channels, so that they get the same light and occlusion.
    warped = cv2.warpAffine(
        cv2.merge([seen, face.astype(np.float32)]),
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _lit_and_covered(np.asarray(warped, np.float32).transpose(2, 0, 1), settings, rng)


def _degraded(
    face: NDArray[np.uint8], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Reduce a (48, 48) face's resolution and add noise, as a camera does before enlarging."""
    if rng.random() < settings.blur:
        small = round(FACE_SIZE / rng.uniform(1, 3))
        face = np.asarray(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
        face = np.asarray(cv2.resize(face, (FACE_SIZE, FACE_SIZE)), np.uint8)
    pixels = face.astype(np.float32)
    if rng.random() < settings.noise:
        pixels += rng.normal(0, rng.uniform(0, 16), pixels.shape).astype(np.float32)
    return pixels


def _lit_and_covered(
    images: NDArray[np.float32], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change light and occlusion of (n, size, size) pictures, all in the same way."""
    mean = images.mean()
    gain = 1 + rng.uniform(-settings.contrast, settings.contrast)
    images = (images - mean) * gain + mean
    images += rng.uniform(-settings.brightness, settings.brightness)
    if rng.random() < settings.occlusion:
        size = images.shape[1]
        height, width = (rng.uniform(0.1, 0.4, 2) * size).astype(int)
        top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        images[:, top : top + height, left : left + width] = rng.uniform(0, WHITE)
    return np.clip(images, 0, WHITE).astype(np.float32)


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
        teach: Callable[[Pixels, Targets], Targets] | None = None,
    ) -> None:
        """Hold (n, 48, 48) `images` and their (n, 7) `targets`, shuffled for this epoch.

        With `part` (i, k), only the i-th of k equal parts of every batch is made, for one of k
        machines, with the same pixels as in the whole batch. `teach` may change the targets; it is
        given the faces without blur and noise.
        """
        super().__init__(workers=1)
        self._images, self._targets = images, targets
        self._size, self._batch_size = size, batch_size
        self._augmentation = augmentation
        self._seed = (seed, epoch)
        self._part = part
        self._teach = teach
        self._order = np.random.default_rng(self._seed).permutation(len(images))

    def __len__(self) -> int:
        """Count whole batches; the rest of the shuffled faces wait for another epoch."""
        return max(1, len(self._order) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Pixels, Targets]:
        """Make batch `index`: (b, size, size, 1) pixels 0..255 and (b, 7) targets."""
        start, stop = index * self._batch_size, (index + 1) * self._batch_size
        places = np.arange(start, min(stop, len(self._order)))
        share, partner = self._blending(index, places)
        mine = np.array_split(np.arange(len(places)), self._part[1])[self._part[0]]
        made = [self._blended(places[i], partner[i], share[i]) for i in mine]
        pixels, clear = np.stack([faces for faces, _ in made], axis=1)[..., np.newaxis]
        targets = np.stack([target for _, target in made])
        return pixels, targets if self._teach is None else self._teach(clear, targets)

    def _blending(self, index: int, places: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """Draw each face's own share in its blend, and the face it is blended with."""
        rng = np.random.default_rng((*self._seed, index, len(self._order)))
        blended = rng.random(len(places)) < self._augmentation.mixup
        share = rng.beta(MIXUP_BETA, MIXUP_BETA, len(places))
        return np.where(blended, share, 1.0), rng.permutation(places)

    def _blended(self, place: int, partner: int, share: float) -> tuple[Any, Any]:
        faces, target = self._face(place)
        if share == 1:
            return faces, target
        others, their_target = self._face(partner)
        rest = np.float32(1 - share)
        return faces + rest * (others - faces), target + rest * (their_target - target)

    def _face(self, place: int) -> tuple[Any, Any]:
        """Augment a face; its own random generator makes it the same on every machine."""
        row = self._order[place]
        rng = np.random.default_rng((*self._seed, place))
        return augment(self._images[row], self._size, self._augmentation, rng), self._targets[row]

"""A short clip to look at, of a face that is drawn here or of a picture that is given.

A drawn face costs the models just as much as a person's, and every machine can draw the same one,
so figures of two machines can be compared without anybody's picture.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from serenbox.pixels import Pixels

    Color = tuple[int, int, int]

WIDTH, HEIGHT = 640, 480
FPS = 10
FRAMES = 100
"""Frames of a clip: ten seconds."""

_WALL: Color = (150, 160, 165)
_SKIN: Color = (150, 180, 225)
_HAIR: Color = (40, 50, 70)
_SHADE: Color = (110, 140, 190)
_LIPS: Color = (60, 60, 170)
_IRIS: Color = (50, 60, 80)
_WHITE: Color = (245, 245, 245)
"""BGR, like all colours here."""

_HALF_FACE = 0.17
"""From the middle of a face to its chin, in heights of the picture: a person about a metre away
from the usual lens of 60 degrees."""

_NOISE = 2.0
"""Standard deviation of a camera's noise, grey levels."""


def drawn_face() -> Pixels:
    """Return a drawn, smiling face that the face finder detects, (480, 480, 3) uint8 BGR."""
    image: Pixels = np.full((HEIGHT, HEIGHT, 3), _WALL, np.uint8)
    drawing = _Drawing(image, (HEIGHT // 2, HEIGHT // 2), _HALF_FACE * HEIGHT)
    drawing.ellipse((0, 0), (0.75, 1.0), (0, 360), _SKIN)
    drawing.ellipse((0, -0.55), (0.78, 0.55), (180, 360), _HAIR)
    for side in (-0.3, 0.3):
        drawing.ellipse((side, -0.12), (0.15, 0.08), (0, 360), _WHITE)
        drawing.ellipse((side, -0.12), (0.07, 0.07), (0, 360), _IRIS)
        drawing.ellipse((side, -0.22), (0.18, 0.08), (200, 340), _HAIR, pen=0.04)
    drawing.ellipse((0, 0.22), (0.12, 0.06), (0, 180), _SHADE, pen=0.03)
    drawing.ellipse((0, 0.4), (0.32, 0.2), (0, 180), _LIPS)
    drawing.ellipse((0, 0.4), (0.26, 0.08), (0, 180), _WHITE)
    return image


class _Drawing:
    """Draws on an image in units of a face, whose middle and half height are given in pixels."""

    def __init__(self, image: Pixels, middle: tuple[int, int], unit: float) -> None:
        self._image = image
        self._middle = middle
        self._unit = unit

    def ellipse(
        self,
        place: tuple[float, float],
        size: tuple[float, float],
        arc: tuple[int, int],
        color: Color,
        *,
        pen: float = 0.0,
    ) -> None:
        """Draw a part of an ellipse; filled unless a pen's width is given."""
        x, y = (round(m + p * self._unit) for m, p in zip(self._middle, place, strict=True))
        axes = (round(size[0] * self._unit), round(size[1] * self._unit))
        width = max(2, round(pen * self._unit)) if pen else -1
        cv2.ellipse(self._image, (x, y), axes, 0, *arc, color, width, cv2.LINE_AA)


def face_frames(picture: Pixels) -> Iterator[Pixels]:
    """Yield a clip of a picture that sways a little, (480, 640, 3) uint8 BGR; it loops seamlessly.

    Args:
        picture: uint8 BGR, any size; its face ought to look at the camera.

    """
    noise = _Noise()
    scale = min(HEIGHT / picture.shape[0], WIDTH / picture.shape[1])
    for number in range(FRAMES):
        angle = 2 * math.pi * number / FRAMES
        left = (WIDTH - scale * picture.shape[1]) / 2 + 25 * math.sin(angle)
        top = (HEIGHT - scale * picture.shape[0]) / 2 + 8 * math.sin(2 * angle)
        frame: Pixels = np.full((HEIGHT, WIDTH, 3), _WALL, np.uint8)
        move = np.array([[scale, 0, left], [0, scale, top]])
        cv2.warpAffine(picture, move, (WIDTH, HEIGHT), frame, borderMode=cv2.BORDER_TRANSPARENT)
        yield noise.over(frame)


def empty_frames() -> Iterator[Pixels]:
    """Yield a clip without people or movement, in the format of `face_frames`."""
    noise = _Noise()
    wall: Pixels = np.full((HEIGHT, WIDTH, 3), _WALL, np.uint8)
    cv2.rectangle(wall, (420, 60), (580, 300), _SHADE, -1)  # a window, say
    for _ in range(FRAMES):
        yield noise.over(wall)


class _Noise:
    """The noise of a camera, the same in every run: a few fields of it in turn, for speed."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        noise = random.normal(0, _NOISE, (7, HEIGHT, WIDTH, 1)).round().astype(np.int16)
        self._fields = itertools.cycle(noise)

    def over(self, image: Pixels) -> Pixels:
        """Return the image with noise."""
        return np.asarray((image + next(self._fields)).clip(0, 255), np.uint8)


def write_clip(path: Path, frames: Iterable[Pixels], fps: float = FPS) -> None:
    """Write a video of JPEG pictures, which is what USB cameras send, to a file that ends in .avi.

    Raises:
        OSError: It cannot be written.

    """
    mjpg = cv2.VideoWriter.fourcc(*"MJPG")
    film = cv2.VideoWriter(str(path), mjpg, fps, (WIDTH, HEIGHT))
    if not film.isOpened():
        raise OSError(f"OpenCV cannot write {path}")
    try:
        for frame in frames:
            film.write(frame)
    finally:
        film.release()

"""Square views of a picture: what the face finder's network is shown of it.

Pure: no model, no files. Candidates are those of `serenbox.blazeface`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from serenbox.blazeface import INPUT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from serenbox.blazeface import Floats
    from serenbox.overlap import Quad
    from serenbox.pixels import Pixels

SECOND_LOOK = 2.0
"""Side of a close look, in sizes of the face. It halves the jitter of a small face's box and
keypoints, and tells faces from other things better than a look at the whole picture."""

_SPACE = 127
"""The fill beyond a picture: grey, 0 to the network, finds more faces at the edge than black."""

_TILE_PARTS = (4, 2)
"""Tiles have sides of a quarter and a half of the picture's longer side."""

_TILE_OVERLAP = 1 / 3
"""Overlap of neighbouring tiles. A larger face is found in the next larger tiles."""

_SMALLEST_TILE = 192
"""In pixels. Faces in smaller tiles would be too small to read an emotion from."""

_SIZE = INPUT_SIZE


class View(NamedTuple):
    """A square view of a picture, in pixels of it; it may reach beyond the picture."""

    picture: Pixels
    left: int
    top: int
    side: int

    def pixels(self, *, quick: bool = False, buffer: Pixels | None = None) -> Pixels:
        """Return what is in view, (128, 128, 3), grey where it reaches beyond the picture.

        Args:
            quick: Reduce by halving and then bilinearly, in a tenth of the time of area averaging.
            buffer: An array of the result's shape and type, which may be filled and returned to
                save the time of allocating another.

        """
        resize = _quickly_resized if quick else _resized
        x, y, side = self.left, self.top, self.side
        height, width = self.picture.shape[:2]
        if x >= 0 <= y and x + side <= width and y + side <= height:  # as most views are
            return resize(self.picture[y : y + side, x : x + side], _SIZE, _SIZE, buffer)
        x, y = max(0, self.left), max(0, self.top)
        part = self.picture[y : max(y, self.top + self.side), x : max(x, self.left + self.side)]
        scale = _SIZE / self.side
        left, top = (min(_SIZE - 1, round(gap * scale)) for gap in (x - self.left, y - self.top))
        rows = min(_SIZE - top, max(1, round(part.shape[0] * scale)))
        columns = min(_SIZE - left, max(1, round(part.shape[1] * scale)))
        if rows == columns == _SIZE:
            return resize(part, columns, rows)
        pixels = np.full((_SIZE, _SIZE, 3), _SPACE, np.uint8)
        if part.size:
            pixels[top : top + rows, left : left + columns] = resize(part, columns, rows)
        return pixels

    def bounds(self) -> tuple[Floats, Floats]:
        """Return its top left and bottom right (x, y), in fractions of the picture's sides."""
        corner = np.array((self.left, self.top), np.float32)
        size = np.array(self.picture.shape[1::-1], np.float32)
        return corner / size, (corner + self.side) / size


def manageable(image: Pixels) -> Pixels:
    """Return the picture, halved until it is no larger than its tiles can need.

    Halving is fast; reducing a large picture in one step takes longer than looking at it.
    """
    while max(image.shape[:2]) >= 2 * _SIZE * max(_TILE_PARTS):
        image = _halved(image)
    return image


def whole(picture: Pixels, sides: float) -> View:
    """Return the view of `sides` times the picture's longer side, centred on the picture."""
    height, width = picture.shape[:2]
    side = round(max(width, height) * sides)
    return View(picture, (width - side) // 2, (height - side) // 2, side)


def around(image: Pixels, candidate: Floats) -> View:
    """Return the view centred on a candidate."""
    height, width = image.shape[:2]
    left, top, right, bottom = candidate[:4].tolist()
    return around_box(image, (left * width, top * height, right * width, bottom * height))


def around_box(image: Pixels, box: Quad) -> View:
    """Return the view centred on a box, in pixels."""
    left, top, right, bottom = box
    side = max(1, round(max(right - left, bottom - top) * SECOND_LOOK))
    return View(image, round((left + right - side) / 2), round((top + bottom - side) / 2), side)


def tiles(picture: Pixels, longer: int) -> Iterator[View]:
    """Yield overlapping parts that together cover the picture, smallest first.

    `longer` is the longer side, in pixels, of the image that the picture was reduced from.
    """
    for parts in _TILE_PARTS:
        if longer < parts * _SMALLEST_TILE:
            continue
        picture = _reduced(picture, _SIZE * parts)
        for top in _starts(picture.shape[0]):
            for left in _starts(picture.shape[1]):
                yield View(picture, left, top, _SIZE)


def wholly_inside(candidates: Floats, view: View) -> npt.NDArray[np.bool_]:
    """Return which candidates a tile does not cut off; a neighbouring tile sees the others whole.

    The edge of the picture does not count: no other tile would see more.
    """
    low, high = view.bounds()
    inside = (candidates[:, :2] >= low) | (low <= 0)
    inside &= (candidates[:, 2:4] <= high) | (high >= 1)
    return np.asarray(inside.all(axis=1))


def _starts(length: int) -> list[int]:
    """Return where tiles begin along one axis: evenly spread from edge to edge."""
    if length <= _SIZE:
        return [(length - _SIZE) // 2]
    steps = math.ceil((length - _SIZE) / (_SIZE * (1 - _TILE_OVERLAP)))
    return [round(step * (length - _SIZE) / steps) for step in range(steps + 1)]


def _resized(image: Pixels, width: int, height: int, buffer: Pixels | None = None) -> Pixels:
    if image.shape[:2] == (height, width):
        return image
    shrinking = width < image.shape[1] or height < image.shape[0]
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), buffer, interpolation=interpolation)
    return np.asarray(resized, np.uint8)


def _quickly_resized(
    image: Pixels, width: int, height: int, buffer: Pixels | None = None
) -> Pixels:
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        image = _halved(image)
    resized = cv2.resize(image, (width, height), buffer, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _halved(image: Pixels) -> Pixels:
    """Return the picture at half its size, dropping an odd last row or column."""
    height, width = (max(1, length // 2) for length in image.shape[:2])
    return _resized(image[: 2 * height, : 2 * width], width, height)


def _reduced(image: Pixels, side: int) -> Pixels:
    """Return the picture resized so that its longer side is `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    return _resized(image, max(1, round(width * scale)), max(1, round(height * scale)))

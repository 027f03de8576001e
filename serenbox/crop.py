"""From a picture to the pixels the emotion classifier sees.

Training, evaluation and the device all call these functions, so the faces that the classifier sees
in a living room are prepared exactly like those it was trained on. Everything here is pure: no
clock, no files.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from serenbox.model_file import Color, CropSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from serenbox.pixels import Pixels
    from serenbox.results import FaceLocation

__all__ = ["CropSpec", "crop_face", "face_to_input", "reduce_face"]

_LARGEST = 3
"""A face more than this many times as large as the crop is halved until it is not: so every face
costs about the same, and the samples below skip no pixel."""

_SAMPLES = 2
"""Most samples per pixel of the crop along a side of the turned square; the pixel is their mean."""


def crop_face(
    image: Pixels, location: FaceLocation, spec: CropSpec, *, grey: bool = False
) -> Pixels:
    """Cut a face out of a picture: square, upright, and no sharper than the training faces.

    The square's side is `(1 + 2 * margin)` times the longer side of the face's whole box. It is
    centred on that box, turned so that the eyes are level if `level_eyes` is set, and then moved
    towards the forehead by `lift` times its side. Beyond the edge of the picture the edge pixels
    are repeated. A large face is reduced by area averaging, to avoid aliasing.

    Args:
        image: uint8, (height, width) grey or (height, width, 3) BGR.
        location: Where the face is, in pixels of `image`.
        spec: The geometry the classifier was trained for.
        grey: Convert the face to grey (BT.601 luma) first, which is three times as fast.

    Returns:
        uint8, (resolution, resolution), or (resolution, resolution, 3) BGR if `image` is BGR and
        `grey` is not set.

    """
    box = location.whole
    side = (1 + 2 * spec.margin) * max(box.width, box.height, 1)
    angle = _eye_angle(location) if spec.level_eyes else 0.0
    lift = spec.lift * side
    x = box.x + box.width / 2 + lift * math.sin(angle)
    y = box.y + box.height / 2 - lift * math.cos(angle)
    halvings = max(0, math.floor(math.log2(side / (_LARGEST * spec.resolution))) + 1)
    region, left, top = _region(image, x, y, side, angle, 2**halvings)
    if grey and region.ndim == 3:
        region = np.asarray(cv2.cvtColor(region, cv2.COLOR_BGR2GRAY), np.uint8)
    for _ in range(halvings):
        region = _resize(region, max(1, region.shape[1] // 2), max(1, region.shape[0] // 2))
    samples = math.ceil(side / 2**halvings / spec.resolution)
    grid = spec.resolution * min(samples, _SAMPLES)
    matrix = _sampling(x - left, y - top, side, angle, 2**halvings, grid)
    turned = cv2.warpAffine(
        region,
        matrix,
        (grid, grid),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _resize(np.asarray(turned, np.uint8), spec.resolution, spec.resolution)


def reduce_face(face: Pixels, resolution: int) -> Pixels:
    """Square a picture of only a face, and make it no sharper than the training faces.

    The shorter side is extended by repeating the edge pixels; a picture larger than `resolution` is
    reduced to it by area averaging, a smaller one keeps its size.

    Args:
        face: uint8, (height, width) grey or (height, width, 3) BGR.
        resolution: The largest side of the result, in pixels.

    Returns:
        uint8, square, channels as in `face`.

    """
    height, width = face.shape[:2]
    side = max(height, width)
    if side > resolution:
        scale = resolution / side
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        face, side = _resize(face, width, height), resolution
    top, left = (side - height) // 2, (side - width) // 2
    if height == width:
        return face
    bottom, right = side - height - top, side - width - left
    squared = cv2.copyMakeBorder(face, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(squared, np.uint8)


def face_to_input(face: Pixels, size: int, color: Color) -> Pixels:
    """Turn a cropped face into the classifier's input pixels.

    First grey (BT.601 luma) or RGB, then the model's size: bilinear when enlarging (the bit-exact
    kind, so every machine computes the same bytes), area averaging when shrinking.

    Args:
        face: uint8, (height, width), (height, width, 1) grey or (height, width, 3) BGR, any size;
            a face that is not square is stretched.
        size: Side of the model's input, in pixels.
        color: "grey" or "rgb", what the model wants.

    Returns:
        uint8, (size, size, 1) for "grey" or (size, size, 3) for "rgb", raw pixels 0 to 255.

    """
    if face.ndim == 3 and face.shape[2] == 1:
        face = face[:, :, 0]
    grey = face.ndim == 2
    if color == "grey" and not grey:
        face = np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), np.uint8)
    elif color == "rgb":
        code = cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB
        face = np.asarray(cv2.cvtColor(face, code), np.uint8)
    return _resize(face, size, size).reshape(size, size, -1)


def _eye_angle(location: FaceLocation) -> float:
    """Return the angle of the line from the right eye to the left one, clockwise, in radians."""
    (right_x, right_y), (left_x, left_y) = location.keypoints[:2]
    return math.atan2(left_y - right_y, left_x - right_x)


def _region(
    image: Pixels, x: float, y: float, side: float, angle: float, step: int
) -> tuple[Pixels, int, int]:
    """Return the part of the image under the turned square around (x, y), and its left and top.

    Its width and height are multiples of `step` where the image is large enough.
    """
    # Two samples more than the turned square needs, for the bilinear neighbours.
    reach = side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle))) + 2 * step
    left, right = _span(x - reach, x + reach, image.shape[1], step)
    top, bottom = _span(y - reach, y + reach, image.shape[0], step)
    return image[top:bottom, left:right], left, top


def _span(low: float, high: float, size: int, step: int) -> tuple[int, int]:
    """Return where a region begins and ends along one axis: inside the image, and never empty.

    Less than a step is left out at the far edge of an image; the crop repeats the pixel before it.
    """
    start = min(max(0, math.floor(low)), max(0, size - step))
    stop = max(min(size, math.ceil(high)), min(start + step, size))
    return start, stop - (stop - start) % step if stop - start > step else stop


def _sampling(
    x: float, y: float, side: float, angle: float, step: int, grid: int
) -> npt.NDArray[np.float64]:
    """Return the 2x3 matrix from pixels of the upright square to those of the reduced region.

    OpenCV counts from the centre of the first pixel, boxes from its corner: hence the halves.
    """
    scale = side / grid / step
    across, down = scale * math.cos(angle), scale * math.sin(angle)
    corner = 0.5 - grid / 2
    return np.array(
        (
            (across, -down, x / step - 0.5 + (across - down) * corner),
            (down, across, y / step - 0.5 + (down + across) * corner),
        )
    )


def _resize(image: Pixels, width: int, height: int) -> Pixels:
    """Resize: area averaging when a side shrinks, bilinear otherwise."""
    if image.shape[:2] == (height, width):
        return image
    shrinking = width < image.shape[1] or height < image.shape[0]
    # INTER_AREA falls back to plain bilinear in the direction that grows.
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.crop import CropSpec, crop_face, face_to_input, reduce_face
from serenbox.results import Box, FaceLocation

if TYPE_CHECKING:
    from serenbox.model_file import Color

Image = npt.NDArray[np.uint8]


def location(box: Box, tilt: float = 0.0) -> FaceLocation:
    """A face tilted by `tilt` degrees: if positive, its left eye is lower than its right one."""
    x, y, angle = box.x + box.width / 2, box.y + box.height / 3, math.radians(tilt)
    dx, dy = math.cos(angle) * box.width / 5, math.sin(angle) * box.width / 5
    rest = ((x, y),) * 4
    return FaceLocation(box, ((x - dx, y - dy), (x + dx, y + dy), *rest), 0.9)


def ramp(width: int, height: int, along: float, down: float) -> Image:
    """A picture whose brightness is 127.5 in the middle and linear in the position."""
    x = np.arange(width) + 0.5 - width / 2
    y = np.arange(height) + 0.5 - height / 2
    return np.clip(127.5 + along * x + down * y[:, None], 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("tilt", [-120, -30, 0, 7, 45, 180])
@pytest.mark.parametrize("side", [20, 48, 77, 144, 145, 300, 511])
@pytest.mark.parametrize("lift", [0.0, 0.1])
def test_each_pixel_comes_from_where_the_geometry_says(tilt: float, side: int, lift: float) -> None:
    size, resolution, margin = 1200, 48, 0.1
    image = ramp(size, size, 0.15, -0.08)
    box = Box(600 - side // 2 + 9, 600 - side // 2 - 14, side, side)
    spec = CropSpec(margin, level_eyes=True, resolution=resolution, lift=lift)

    crop = crop_face(image, location(box, tilt), spec)

    whole, angle = side * (1 + 2 * margin), math.radians(tilt)
    steps = ((np.arange(resolution) + 0.5) / resolution - 0.5) * whole
    along, down = np.meshgrid(steps, steps - lift * whole)
    x = box.x + side / 2 + along * math.cos(angle) - down * math.sin(angle)
    y = box.y + side / 2 + along * math.sin(angle) + down * math.cos(angle)
    expected = 127.5 + 0.15 * (x - size / 2) - 0.08 * (y - size / 2)
    assert crop.shape == (resolution, resolution)
    assert np.abs(crop - expected).max() <= 1.5
    assert abs((crop - expected).mean()) < 0.75  # each halving rounds up


def test_eyes_stay_tilted_where_levelling_is_off() -> None:
    image = ramp(400, 400, 0.5, 0)
    spec = CropSpec(0.1, level_eyes=False, resolution=48)

    level, tilted = (
        crop_face(image, location(Box(150, 150, 100, 100), tilt), spec) for tilt in (0, 30)
    )

    assert np.array_equal(level, tilted)


def test_the_eyes_come_out_level_and_the_right_one_left() -> None:
    image = np.zeros((300, 300), np.uint8)
    face = location(Box(90, 90, 120, 120), 25)
    for (x, y), brightness in zip(face.keypoints[:2], (255, 120), strict=True):
        cv2.circle(image, (round(x - 0.5), round(y - 0.5)), 5, brightness, -1)

    crop = crop_face(image, face, CropSpec(0.1, level_eyes=True, resolution=48))

    right, left = (
        np.argwhere(crop > 200).mean(axis=0),
        np.argwhere((crop > 100) & (crop < 130)).mean(axis=0),
    )
    assert abs(right[0] - left[0]) < 0.7
    assert right[1] < left[1] - 10


@pytest.mark.parametrize("side", [200, 333, 600, 1100])
def test_fine_stripes_of_a_large_face_do_not_alias(side: int) -> None:
    image = np.zeros((1200, 1200), np.uint8)
    image[:, ::2] = 255
    face = location(Box(600 - side // 2, 600 - side // 2, side, side), 3)

    crop = crop_face(image, face, CropSpec(0, level_eyes=True, resolution=48))

    assert np.abs(crop.astype(float) - 127.5).max() < 20


def test_pixels_beyond_the_edge_repeat_the_edge() -> None:
    image = ramp(100, 100, 2, 0)
    spec = CropSpec(0.5, level_eyes=True, resolution=48)

    crop = crop_face(image, location(Box(0, 0, 40, 40)), spec)

    assert (crop[:, :11] == image[0, 0]).all()
    assert crop[24, 12] > image[0, 0]


def test_a_face_that_the_edge_cuts_off_keeps_its_middle_and_size() -> None:
    image = ramp(200, 200, 0.5, 0.3)
    spec = CropSpec(0.0, level_eyes=False, resolution=48)
    whole = location(Box(60, 100, 80, 80))
    shown = image[:150]
    cut = whole._replace(box=Box(60, 100, 80, 50), uncut=whole.box)

    same = crop_face(image, whole, spec)[:29], crop_face(shown, cut, spec)[:29]
    assert np.abs(same[0].astype(int) - same[1]).max() <= 1


def test_color_stays_and_grey_comes_first_if_asked() -> None:
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (400, 400, 3), np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    face, spec = location(Box(100, 80, 200, 220), 12), CropSpec(0.1, True, 48)

    color, grey = crop_face(image, face, spec), crop_face(image, face, spec, grey=True)

    assert color.shape == (48, 48, 3)
    assert grey.shape == (48, 48)
    later = cv2.cvtColor(color, cv2.COLOR_BGR2GRAY)
    assert np.abs(later.astype(int) - grey).max() <= 2
    planes = [crop_face(np.ascontiguousarray(image[..., n]), face, spec) for n in range(3)]
    assert np.abs(np.stack(planes, 2).astype(int) - color).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3), (2, 2, 3), (40, 700, 3)])
def test_any_picture_and_box_give_a_crop(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 77, np.uint8)
    height, width = shape[:2]

    crop = crop_face(image, location(Box(0, 0, width, height), 20), CropSpec(0.3, True, 48))

    assert crop.shape == (48, 48, *shape[2:])
    assert (crop == 77).all()


def test_a_face_of_no_size_gives_a_crop_of_where_it_is() -> None:
    image = ramp(100, 100, 2, 0)

    crop = crop_face(image, location(Box(60, 50, 0, 0)), CropSpec(0.1, True, 48))

    assert crop.shape == (48, 48)
    assert crop[24, 24] == pytest.approx(127.5 + 2 * 10, abs=2)


def test_the_picture_is_not_changed() -> None:
    image = ramp(300, 300, 0.3, 0.1)
    before = image.copy()

    crop_face(image, location(Box(10, 10, 200, 200), 10), CropSpec(0.1, True, 48))

    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((48, 48), (48, 48)),
        ((30, 30), (30, 30)),
        ((200, 200, 3), (48, 48, 3)),
        ((96, 64), (48, 48)),
        ((64, 96, 3), (48, 48, 3)),
        ((20, 31), (31, 31)),
        ((1, 1000), (48, 48)),
        ((1000, 1), (48, 48)),
    ],
)
def test_reduce_face_makes_it_square_and_small(
    shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    reduced = reduce_face(np.full(shape, 9, np.uint8), 48)

    assert reduced.shape == result
    assert (reduced == 9).all()


def test_reduce_face_keeps_proportions() -> None:
    image = np.zeros((96, 48), np.uint8)
    image[40:56] = 255

    reduced = reduce_face(image, 48)

    assert (reduced[20:28] == 255).all()
    assert (reduced[:20] == 0).all()
    assert (reduced[28:] == 0).all()


def test_reduce_face_repeats_the_edges_on_both_sides_alike() -> None:
    narrow = np.full((32, 8), 9, np.uint8)
    narrow[:, 0], narrow[:, -1] = 1, 2
    row = [1] * 13 + [9] * 6 + [2] * 13

    assert reduce_face(narrow, 48).tolist() == [row] * 32
    assert reduce_face(np.ascontiguousarray(narrow.T), 48).T.tolist() == [row] * 32


def test_a_training_face_is_left_as_it_is() -> None:
    face = np.random.default_rng(3).integers(0, 256, (48, 48), np.uint8)

    assert np.array_equal(reduce_face(face, 48), face)
    assert np.array_equal(face_to_input(face, 48, "grey")[:, :, 0], face)


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 1), (48, 48, 3), (200, 180, 3), (20, 20)])
@pytest.mark.parametrize(("color", "channels"), [("grey", 1), ("rgb", 3)])
def test_input_has_the_models_shape(shape: tuple[int, ...], color: Color, channels: int) -> None:
    pixels = face_to_input(np.full(shape, 55, np.uint8), 96, color)

    assert pixels.shape == (96, 96, channels)
    assert pixels.dtype == np.uint8
    assert (pixels == 55).all()


def test_enlarging_is_bilinear_and_the_same_everywhere() -> None:
    pixels = face_to_input(np.array([[0, 100], [200, 40]], np.uint8), 4, "grey")

    # Pixel centres a quarter from the edge: weights of 1/4 and 3/4, the edge repeated.
    assert pixels[:, :, 0].tolist() == [
        [0, 25, 75, 100],
        [50, 59, 76, 85],
        [150, 126, 79, 55],
        [200, 160, 80, 40],
    ]


def test_grey_is_luma_and_rgb_is_in_that_order() -> None:
    blue_green_red = np.zeros((4, 4, 3), np.uint8)
    blue_green_red[...] = (10, 100, 200)

    assert (face_to_input(blue_green_red, 4, "grey") == 120).all()  # .114 b + .587 g + .299 r
    assert face_to_input(blue_green_red, 4, "rgb")[0, 0].tolist() == [200, 100, 10]


def test_a_grey_picture_read_as_color_gives_the_same_input() -> None:
    grey = np.random.default_rng(4).integers(0, 256, (48, 48), np.uint8)
    color = np.repeat(grey[:, :, None], 3, axis=2)

    assert np.array_equal(face_to_input(grey, 96, "grey"), face_to_input(color, 96, "grey"))

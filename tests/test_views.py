from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from serenbox.views import View, wholly_inside

if TYPE_CHECKING:
    from serenbox.overlap import Quad

PICTURE: npt.NDArray[np.uint8] = np.full((400, 400, 3), 255, np.uint8)


def candidate(box: Quad) -> npt.NDArray[np.float32]:
    return np.array([box], np.float32) / np.float32(400)


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        ((110, 110, 190, 190), True),
        ((90, 110, 190, 190), False),
        ((110, 90, 190, 190), False),
        ((110, 110, 230, 190), False),
        ((110, 110, 190, 230), False),
    ],
    ids=["inside", "left", "top", "right", "bottom"],
)
def test_what_a_tile_cuts_off_is_left_to_its_neighbour(box: Quad, *, whole: bool) -> None:
    assert wholly_inside(candidate(box), View(PICTURE, 100, 100, 128)).tolist() == [whole]


@pytest.mark.parametrize(
    ("place", "box"),
    [((0, 0), (-20, -20, 60, 60)), ((272, 272), (340, 340, 420, 420))],
    ids=["top left", "bottom right"],
)
def test_what_the_edge_of_the_picture_cuts_off_nobody_sees_whole(
    place: tuple[int, int], box: Quad
) -> None:
    assert wholly_inside(candidate(box), View(PICTURE, *place, 128)).tolist() == [True]


def test_beyond_the_picture_there_is_neither_dark_nor_bright() -> None:
    pixels = View(PICTURE, -128, -128, 256).pixels()

    assert (pixels[:64] == 127).all()
    assert (pixels[:, :64] == 127).all()
    assert (pixels[64:, 64:] == 255).all()

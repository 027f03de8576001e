from __future__ import annotations

import pytest

from serenbox.overlap import corners, overlap
from serenbox.results import Box


def box(x: int) -> Box:
    return Box(x, 50, 100, 100)


def shared(one: Box, other: Box, reach: float = 1.0) -> float:
    return overlap(corners(one, reach), corners(other, reach))


def test_corners() -> None:
    assert corners(Box(10, 20, 30, 40)) == (10, 20, 40, 60)
    assert corners(Box(10, 20, 30, 40), 2) == (-5, 0, 55, 80)


def test_overlap() -> None:
    assert shared(box(0), box(0)) == 1
    assert shared(box(0), box(50)) == pytest.approx(1 / 3)
    assert shared(box(0), box(100)) == 0
    assert shared(box(0), box(100), 2) == pytest.approx(1 / 3)
    assert shared(Box(10, 10, 5, 5), Box(0, 0, 100, 100)) == pytest.approx(25 / 10000)


def test_what_has_no_area_overlaps_nothing() -> None:
    assert shared(Box(10, 10, 0, 0), Box(10, 10, 0, 0)) == 0
    assert shared(Box(10, 10, 0, 5), Box(0, 0, 100, 100)) == 0

"""How much two boxes share. Pure, and without numpy, which would be slower for two boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from serenbox.results import Box

Quad: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, in any unit."""

SAME_FACE = 0.3
"""Boxes in one picture whose intersection over union is larger than this show the same face."""


def overlap(one: Quad, other: Quad) -> float:
    """Return the intersection over union, 0 to 1, of two boxes; 0 if either has no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    total = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return width * height / (total - width * height)


def corners(box: Box, reach: float = 1.0) -> Quad:
    """Return the corners of a box, in pixels, enlarged `reach` times around its centre."""
    across, down = box.width * (reach - 1) / 2, box.height * (reach - 1) / 2
    return (box.x - across, box.y - down, box.x + box.width + across, box.y + box.height + down)

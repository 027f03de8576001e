"""Draws results onto a copy of the picture: boxes, labels and, where they fit, score bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from serenbox.results import UNCERTAIN, Face

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from serenbox.pixels import Pixels

    Color: TypeAlias = tuple[int, int, int]

COLORS: dict[str, Color] = {
    "angry": (0, 94, 213),
    "disgust": (115, 158, 0),
    "fear": (167, 121, 204),
    "happy": (66, 228, 240),
    "neutral": (235, 235, 235),
    "sad": (178, 114, 0),
    "surprise": (233, 180, 86),
    UNCERTAIN: (150, 150, 150),
}
"""BGR color of each emotion: the palette of Okabe and Ito, which color-blind people can tell apart
(https://jfly.uni-koeln.de/color), and two greys."""

_SMALLEST_SIDE = 480
"""A picture whose longer side is shorter than this is enlarged, so that letters fit into it."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK: Color = (24, 24, 24)
_LIGHT: Color = (250, 250, 250)


@dataclass(frozen=True, slots=True)
class _Area:
    """The columns from `left` and the rows from `top`, up to but excluding `right` and `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.left, self.top), (self.right - 1, self.bottom - 1)

    def shared(self, other: _Area) -> int:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, across) * max(0, down)

    def within(self, width: int, height: int) -> bool:
        return self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height


@dataclass(frozen=True, slots=True)
class _Type:
    """Lettering whose capitals are `height` pixels high."""

    height: int

    @property
    def scale(self) -> float:
        return self.height / 21  # capitals of this font are 21 pixels high at scale 1

    @property
    def thickness(self) -> int:
        return max(1, round(self.height / 9))

    @property
    def padding(self) -> int:
        return max(2, round(self.height * 0.45))

    def width(self, text: str) -> int:
        return cv2.getTextSize(text, _FONT, self.scale, self.thickness)[0][0]

    def draw(self, picture: Pixels, text: str, left: int, baseline: int, color: Color) -> None:
        cv2.putText(
            picture, text, (left, baseline), _FONT, self.scale, color, self.thickness, cv2.LINE_AA
        )


def annotate(image: Pixels, faces: Sequence[Face]) -> Pixels:
    """Draw faces onto a copy of the picture they were found in.

    Each face gets a box and a label with its emotion and confidence, in the color of the emotion,
    and score bars beside it where they cover nothing else. Lines and letters scale with the picture
    and the face. A picture whose longer side is under 480 pixels is first enlarged by a whole
    factor, so that the letters are legible.

    Args:
        image: Pixels (height, width, 3) BGR or (height, width) grey, uint8; it is not changed.
        faces: The faces found in it.

    Returns:
        Pixels (height, width, 3) BGR, uint8.

    """
    factor = -(-_SMALLEST_SIDE // max(image.shape[:2]))
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    if factor > 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    picture = np.ascontiguousarray(picture, np.uint8)
    drawing = _Drawing(picture, [(face, _area_of(face, factor)) for face in faces])
    drawing.draw()
    return picture


def _area_of(face: Face, factor: int) -> _Area:
    x, y, width, height = face.box.x, face.box.y, face.box.width, face.box.height
    return _Area(x * factor, y * factor, (x + width) * factor, (y + height) * factor)


class _Drawing:
    """Draws onto the picture and keeps track of the areas taken."""

    def __init__(self, picture: Pixels, faces: Sequence[tuple[Face, _Area]]) -> None:
        self._picture = picture
        self._height, self._width = picture.shape[:2]
        self._faces = faces
        self._taken = [area for _, area in faces]

    def draw(self) -> None:
        for face, area in self._faces:
            self._draw_box(area, COLORS.get(face.emotion, _LIGHT))
        for face, area in self._faces:  # all labels before any bars: they matter more
            self._draw_label(face, area)
        for face, area in self._faces:
            self._draw_bars(face.scores, area)

    def _type_for(self, area: _Area) -> _Type:
        """Return letters that fit the face but are legible with the whole picture on a screen."""
        longer = max(self._width, self._height)
        smallest = max(11, round(longer / 80))
        largest = max(smallest, round(longer / 32))
        return _Type(min(max((area.right - area.left) // 12, smallest), largest))

    def _draw_box(self, area: _Area, color: Color) -> None:
        line = max(1, self._type_for(area).height // 6)
        cv2.rectangle(self._picture, *area.corners, _DARK, line + max(2, line // 2 * 2))
        cv2.rectangle(self._picture, *area.corners, color, line)

    def _draw_label(self, face: Face, area: _Area) -> None:
        text = f"{face.emotion} {face.confidence:.0%}"
        letters = self._type_for(area)
        room = self._width - 2 * letters.padding
        if (needed := letters.width(text)) > room:
            letters = _Type(max(1, letters.height * room // needed))
        place = self._place_label(area, letters.width(text) + 2 * letters.padding, letters)
        self._taken.append(place)
        color = COLORS.get(face.emotion, _LIGHT)
        cv2.rectangle(self._picture, *place.corners, color, cv2.FILLED)
        cv2.rectangle(self._picture, *place.corners, _DARK, 1)
        bright = 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2] > 120
        letters.draw(
            self._picture,
            text,
            place.left + letters.padding,
            place.bottom - letters.padding,
            _DARK if bright else _LIGHT,
        )

    def _place_label(self, area: _Area, width: int, letters: _Type) -> _Area:
        """Choose a place above, below or inside the face, wherever the label covers the least."""
        height = letters.height + 2 * letters.padding
        lefts = dict.fromkeys(
            max(0, min(left, self._width - width)) for left in (area.left, area.right - width)
        )
        tops = (area.top - height, area.bottom, area.top, area.bottom - height)
        places = [_Area(x, y, x + width, y + height) for y in tops for x in lefts]
        inside = [place for place in places if place.within(self._width, self._height)]
        others = [taken for taken in self._taken if taken is not area]
        return min(inside or places, key=lambda place: sum(map(place.shared, others)))

    def _draw_bars(self, scores: Mapping[str, float], area: _Area) -> None:
        letters = _Type(max(9, round(self._type_for(area).height * 0.7)))
        gap, names = letters.padding, max(map(letters.width, scores))
        bar, row = letters.height * 8, letters.height + letters.padding
        width, height = names + bar + 3 * gap, row * len(scores) + gap
        panel = next(self._free_panels(area, width, height), None)
        if panel is None:
            return
        self._taken.append(panel)
        ground = self._picture[panel.top : panel.bottom, panel.left : panel.right]
        ground[:] = ground // 4
        left = panel.left + names + 2 * gap
        for number, (label, score) in enumerate(scores.items(), 1):
            bottom = panel.top + number * row
            letters.draw(self._picture, label, panel.left + gap, bottom, _LIGHT)
            end = left + max(1, round(score * bar)) - 1
            corners = (left, bottom - letters.height), (end, bottom)
            cv2.rectangle(self._picture, *corners, COLORS.get(label, _LIGHT), cv2.FILLED)

    def _free_panels(self, area: _Area, width: int, height: int) -> Iterator[_Area]:
        """Yield the places right and left of a face where a panel covers nothing."""
        space = self._type_for(area).padding
        highest = max(0, self._height - height)
        for left in (area.right + space, area.left - space - width):
            for top in (area.top, area.bottom - height):
                top_inside = max(0, min(top, highest))
                panel = _Area(left, top_inside, left + width, top_inside + height)
                if panel.within(self._width, self._height) and not any(
                    map(panel.shared, self._taken)
                ):
                    yield panel

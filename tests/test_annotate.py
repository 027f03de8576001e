"""Boxes, labels and bars in pictures of every size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox import annotate as module
from serenbox.annotate import COLORS, annotate
from serenbox.results import EMOTIONS, UNCERTAIN, Box, Face

Pixels = npt.NDArray[np.uint8]


def blank(width: int, height: int, level: int = 128) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def face(x: int, y: int, side: int, emotion: str = "happy", confidence: float = 0.9) -> Face:
    scores = dict.fromkeys(EMOTIONS, (1 - confidence) / 6)
    scores["happy" if emotion == UNCERTAIN else emotion] = confidence
    return Face(Box(x, y, side, side), emotion, confidence, scores)


def changed(before: Pixels, after: Pixels) -> npt.NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2))


def has_color(image: Pixels, color: tuple[int, int, int]) -> int:
    return int((image == color).all(axis=2).sum())


def test_the_original_is_not_touched() -> None:
    image = blank(640, 480)
    annotate(image, [face(200, 100, 150)])
    assert (image == 128).all()


def test_without_faces_nothing_is_drawn() -> None:
    image = blank(640, 480)
    result = annotate(image, [])
    assert np.array_equal(result, image)
    assert result is not image
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("emotion", [*EMOTIONS, UNCERTAIN])
def test_box_has_the_color_of_the_emotion_and_leaves_the_face_free(emotion: str) -> None:
    image = blank(640, 480)
    result = annotate(image, [face(200, 100, 150, emotion)])
    for place in ((175, 200), (175, 349), (249, 275)):  # left, right and lower side
        assert tuple(result[place]) == COLORS[emotion]
    assert not changed(image, result)[108:240, 208:340].any()


def test_colors_differ() -> None:
    assert set(COLORS) == {*EMOTIONS, UNCERTAIN}
    assert len(set(COLORS.values())) == len(COLORS)


@pytest.mark.parametrize(
    ("width", "height"), [(48, 48), (1, 1), (120, 90), (640, 480), (1, 900), (900, 1), (6000, 4000)]
)
def test_every_size(width: int, height: int) -> None:
    image = blank(width, height)
    result = annotate(image, [Face(Box(0, 0, width, height), "sad", 0.5, face(0, 0, 1).scores)])
    factor = result.shape[0] // height
    assert result.shape == (height * factor, width * factor, 3)
    assert max(result.shape) >= 480
    assert factor == 1 or max(width, height) < 480
    assert result.dtype == np.uint8
    assert has_color(result, COLORS["sad"])


def label_height(width: int, height: int, found: Face) -> int:
    """Return the height in pixels of the filled label above a face."""
    result = annotate(blank(width, height), [found])
    above = result[: found.box.y, : found.box.x + found.box.width]
    return int((above == COLORS[found.emotion]).all(axis=2).any(axis=1).sum())


def test_letters_grow_with_picture_and_face() -> None:
    small = label_height(640, 480, face(300, 200, 60))
    large = label_height(640, 480, face(200, 150, 250))
    gigantic = label_height(6400, 4800, face(3000, 2000, 600))
    assert 10 <= small < large <= 60
    assert gigantic >= 7 * small


def test_label_says_emotion_and_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    draw = cv2.putText

    def spy(image: Pixels, text: str, *rest: object) -> object:
        texts.append(text)
        return draw(image, text, *rest)  # type: ignore[call-overload] # passed on as it came

    monkeypatch.setattr(cv2, "putText", spy)
    annotate(blank(1000, 800), [face(400, 300, 200, "surprise", 0.876)])
    assert texts == ["surprise 88%", *EMOTIONS]


def test_bars_stand_beside_the_face_and_are_as_long_as_the_scores() -> None:
    result = annotate(blank(1200, 800), [face(400, 300, 200, "happy", 0.6)])
    right = result[:, 610:]
    happy = (right == COLORS["happy"]).all(axis=2).sum(axis=1).max()
    sad = (right == COLORS["sad"]).all(axis=2).sum(axis=1).max()
    assert happy == pytest.approx(sad * 0.6 / (0.4 / 6), rel=0.25)


def test_bars_go_left_where_there_is_no_room_right() -> None:
    image = blank(1200, 800)
    touched = changed(image, annotate(image, [face(990, 300, 200)]))
    assert touched[300:500, :980].any()


def test_bars_are_left_out_where_there_is_no_room() -> None:
    image = blank(600, 600)
    touched = changed(image, annotate(image, [face(50, 100, 490)]))
    assert not touched[200:500, :40].any()
    assert not touched[200:500, 550:].any()


def test_label_goes_into_the_face_that_fills_the_picture() -> None:
    result = annotate(blank(500, 500), [face(0, 0, 500)])
    assert has_color(result[4:40, 4:300], COLORS["happy"]) > 1000


def test_neighbours_keep_their_faces_and_labels() -> None:
    faces = [
        face(x, y, 100, EMOTIONS[(x + y) // 110 % 7])
        for y in (60, 320)
        for x in range(40, 800, 110)
    ]
    image = blank(880, 500)
    result = annotate(image, faces)
    touched = changed(image, result)
    for found in faces:
        box = found.box
        inside = touched[box.y + 30 : box.y + 90, box.x + 10 : box.x + 90]
        assert not inside.any(), "labels and bars keep off the faces"
    labels = sum(has_color(result, color) > 100 for color in set(COLORS.values()))
    assert labels == len({found.emotion for found in faces})


def test_everything_is_inside_the_picture() -> None:
    """The label of a face at any edge or corner is not cut off."""
    for x in (0, 250, 500):
        for y in (0, 200, 400):
            drawing = module._Drawing(blank(600, 500), [])
            drawing._taken.append(area := module._Area(x, y, x + 100, y + 100))
            drawing._draw_label(face(x, y, 100), area)
            assert drawing._taken[-1].within(600, 500)


def test_grey_picture_becomes_color() -> None:
    result = annotate(np.full((480, 640), 128, np.uint8), [face(200, 100, 150)])
    assert result.shape == (480, 640, 3)
    assert has_color(result, COLORS["happy"])


def test_unknown_label_is_drawn_all_the_same() -> None:
    found = Face(Box(200, 100, 150, 150), "bored", 0.5, {"bored": 0.5, "awake": 0.5})
    assert changed(blank(640, 480), annotate(blank(640, 480), [found])).any()

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from serenbox.blazeface import STILL_THERE, decode, followed, make_anchors, merge, overlaps
from serenbox.overlap import SAME_FACE

Floats = npt.NDArray[np.float32]


def boxes(*corners: tuple[float, float, float, float]) -> Floats:
    candidates = np.zeros((len(corners), 16), np.float32)
    candidates[:, :4] = np.reshape(corners, (-1, 4))
    return candidates


def test_anchors_are_those_of_mediapipe() -> None:
    anchors = make_anchors()

    assert anchors.shape == (896, 2)
    # Two in each cell of 8 pixels, row by row, then six in each cell of 16 pixels.
    assert anchors[0].tolist() == anchors[1].tolist() == [1 / 32, 1 / 32]
    assert anchors[2].tolist() == [3 / 32, 1 / 32]
    assert anchors[32].tolist() == [1 / 32, 3 / 32]
    assert anchors[511].tolist() == [31 / 32, 31 / 32]
    assert anchors[512].tolist() == anchors[517].tolist() == [1 / 16, 1 / 16]
    assert anchors[518].tolist() == [3 / 16, 1 / 16]
    assert anchors[-1].tolist() == [15 / 16, 15 / 16]


def test_decode_gives_a_known_box() -> None:
    anchors = make_anchors()
    regressors, logits = np.zeros((896, 16), np.float32), np.full(896, -5, np.float32)
    row = 16 * 2 * 4 + 2 * 8  # the cell in column 8 and row 4: centre (68, 36) of 128 pixels
    logits[row] = 0.0
    regressors[row] = [4, -4, 32, 16, -8, -4, 8, -4, 0, 0, 0, 8, -16, 0, 16, 0]

    candidates, scores = decode(regressors, logits, anchors, 0.5)

    assert scores.tolist() == [0.5]
    pixels = (candidates[0] * 128).reshape(-1, 2).tolist()
    assert pixels[:2] == [[56, 24], [88, 40]]
    assert pixels[2:] == [[60, 32], [76, 32], [68, 36], [68, 44], [52, 36], [84, 36]]


@pytest.mark.parametrize(("min_score", "found"), [(0.49, 3), (0.5, 3), (0.51, 2), (1.0, 1)])
def test_decode_keeps_what_reaches_the_score(min_score: float, found: int) -> None:
    logits = np.full(896, -1000, np.float32)
    logits[[3, 5, 700]] = [0.0, 1.0, 1000.0]

    candidates, scores = decode(np.zeros((896, 16), np.float32), logits, make_anchors(), min_score)

    assert candidates.shape == (found, 16)
    assert scores.max() == 1.0


def test_overlaps() -> None:
    candidate = boxes((0, 0, 2, 2))[0]
    others = boxes((0, 0, 2, 2), (1, 0, 3, 2), (2, 0, 4, 2), (5, 5, 6, 6), (1, 1, 1, 1))

    assert overlaps(candidate, others) == pytest.approx([1, 1 / 3, 0, 0, 0])
    assert overlaps(others[4], others[4:]).tolist() == [0]


def test_merge_averages_one_face_by_score() -> None:
    faces, scores = merge(boxes((0, 0, 10, 10), (2, 0, 12, 10)), np.array([0.6, 0.9], np.float32))

    assert scores == pytest.approx([0.9])
    assert faces[0, :4] == pytest.approx([1.2, 0, 11.2, 10])


def test_merge_keeps_different_faces_strongest_first() -> None:
    faces, scores = merge(
        boxes((0, 0, 10, 10), (20, 0, 30, 10), (8, 0, 18, 10)),
        np.array([0.6, 0.9, 0.7], np.float32),
    )

    assert scores == pytest.approx([0.9, 0.7, 0.6])
    assert faces[:, 0].tolist() == [20, 8, 0]


def test_merge_of_nothing_and_of_empty_boxes() -> None:
    faces, scores = merge(boxes(), np.zeros(0, np.float32))
    assert faces.shape == (0, 16)
    assert scores.shape == (0,)

    faces, _ = merge(boxes((1, 1, 1, 1), (2, 2, 2, 2)), np.array([0.5, 0.6], np.float32))
    assert len(faces) == 2


@pytest.mark.parametrize("seed", range(10))
def test_followed_is_what_decoding_and_merging_give(seed: int) -> None:
    rng, anchors = np.random.default_rng(seed), make_anchors()
    regressors = rng.normal(0, 2, (896, 16)).astype(np.float32)
    regressors[:, 2:4] = rng.uniform(40, 48, (896, 2))
    logits = rng.normal(-6, 1, 896).astype(np.float32)
    centre = rng.uniform(0.4, 0.6, 2)
    near = np.abs(anchors - centre).max(axis=1) < 0.08
    far = np.abs(anchors - (0.1, 0.1)).max(axis=1) < 0.05
    logits[near], logits[far] = rng.normal(1, 1, near.sum()), 5.0
    known = boxes((*(centre - 0.17), *(centre + 0.17)))[0]
    faces, scores = merge(*decode(regressors, logits, anchors, 0.5))
    nearest = int(overlaps(known, faces).argmax())

    left, top, right, bottom = known[:4].tolist()
    found = followed(regressors, logits, anchors, 0.5, (left, top, right, bottom))

    assert found is not None
    assert found[0] == pytest.approx(faces[nearest].tolist(), abs=0.02)
    assert found[1] == pytest.approx(float(scores[nearest]))


@pytest.mark.parametrize("known", [0, 1])
def test_a_stronger_face_close_beside_it_is_not_followed(known: int) -> None:
    anchors, logits = make_anchors(), np.full(896, -9, np.float32)
    regressors = np.zeros((896, 16), np.float32)
    two_cells_apart = [(16 * 4 + 7) * 2, (16 * 4 + 9) * 2]
    regressors[two_cells_apart, 2:4] = 22  # pixels; a cell has 8
    logits[two_cells_apart] = 1.0, 3.0
    faces, _ = decode(regressors, logits, anchors, 0.5)
    assert STILL_THERE < overlaps(faces[0], faces)[1] < SAME_FACE

    left, top, right, bottom = faces[known, :4].tolist()
    found = followed(regressors, logits, anchors, 0.5, (left, top, right, bottom))

    assert found is not None
    assert found[0] == pytest.approx(faces[known].tolist())


@pytest.mark.parametrize(("overlap", "there"), [(0.3, True), (0.12, True), (0.08, False)])
def test_a_followed_face_overlaps_its_last_place_by_a_tenth(*, overlap: float, there: bool) -> None:
    """A face that moves by half its size both across and down overlaps it by a seventh."""
    anchors, logits = make_anchors(), np.full(896, -9, np.float32)
    regressors = np.zeros((896, 16), np.float32)
    regressors[0, 2:4], logits[0] = 32, 5.0
    side = 32 / 128
    left, top = (anchors[0] - side / 2).tolist()
    moved = side * (1 - overlap) / (1 + overlap)

    known = (left + moved, top, left + moved + side, top + side)

    assert (followed(regressors, logits, anchors, 0.5, known) is not None) is there


def test_nothing_is_followed_to_another_place() -> None:
    anchors, logits = make_anchors(), np.full(896, -9, np.float32)
    regressors = np.full((896, 16), 30, np.float32)
    logits[0] = 5.0

    assert followed(regressors, logits, anchors, 0.5, (0.6, 0.6, 0.9, 0.9)) is None
    assert followed(regressors, logits - 20, anchors, 0.5, (0.1, 0.1, 0.4, 0.4)) is None

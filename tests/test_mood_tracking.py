from __future__ import annotations

import math

import numpy as np
import pytest

from serenbox.mood.tracking import Tracker
from serenbox.overlap import SAME_FACE, corners, overlap
from serenbox.results import Box


def tracker(max_faces: int = 5, memory: float = 1.0, lead: float = 1.5) -> Tracker:
    return Tracker(max_faces=max_faces, memory=memory, primary_lead=lead)


def box(x: int, side: int = 100) -> Box:
    return Box(x, 50, side, side)


def test_a_face_keeps_its_number_while_it_moves() -> None:
    faces = tracker()

    ids = {faces.update(n / 10, [box(60 * n)])[0].id for n in range(20)}

    assert ids == {1}


def test_two_faces_that_come_in_any_order_are_not_exchanged() -> None:
    faces, rng = tracker(), np.random.default_rng(3)
    for n in range(50):
        boxes = [box(3 * n), box(400 - 2 * n, 90)]
        order = rng.permutation(2).tolist()

        assigned = faces.update(n / 10, [boxes[index] for index in order])

        assert {order[one.place]: one.id for one in assigned} == {0: 1, 1: 2}


@pytest.mark.parametrize("step", [20, -20])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_neighbours_that_move_together_keep_their_numbers(step: int, order: list[int]) -> None:
    """Each one's new place is also near the other's old one."""
    faces, places = tracker(), (0, 110)
    faces.update(0.0, [box(place) for place in places])

    assigned = faces.update(0.1, [box(places[index] + step) for index in order])

    assert {order[one.place]: one.id for one in assigned} == {0: 1, 1: 2}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("down", [0, 50])
@pytest.mark.parametrize("speeds", [(150, -150), (250, -250), (300, -200), (150, -300), (0, -120)])
def test_faces_that_cross_keep_their_numbers(
    speeds: tuple[int, int], down: int, turned: bool
) -> None:
    """Pixels per second, at 10 frames per second; the one behind is hidden for a while."""
    faces, met = tracker(), 2.0
    numbers: dict[str, int] = {}
    for n in range(41):
        near, far = (round(300 + speed * (n / 10 - met)) for speed in speeds)
        seen = {"near": Box(near, 50, 100, 100), "far": Box(far + 10, 50 + down, 95, 95)}
        if overlap(corners(seen["near"]), corners(seen["far"])) > SAME_FACE:
            del seen["far"]
        if turned:
            seen = {who: Box(at.y, at.x, at.height, at.width) for who, at in seen.items()}

        assigned = faces.update(n / 10, [*seen.values()])

        numbers |= {[*seen][one.place]: one.id for one in assigned}
    assert numbers == {"near": 1, "far": 2}


@pytest.mark.parametrize("seconds", [0.5, 1.0])
@pytest.mark.parametrize(("gap", "sway"), [(130, 35), (150, 40)])
def test_neighbours_that_sway_keep_their_numbers_in_few_frames(
    seconds: float, gap: int, sway: int
) -> None:
    """Which way a head moved that long ago tells nothing."""
    faces = tracker()
    for n in range(12):
        shift = round(sway * math.sin(math.tau / 3 * n))
        assigned = faces.update(n * seconds, [box(shift + gap * place) for place in range(3)])
        assert {one.place: one.id for one in assigned} == {0: 1, 1: 2, 2: 3}


@pytest.mark.parametrize("speeds", [(150, -150), (250, -250), (300, -200)])
def test_faces_that_cross_keep_their_numbers_though_boxes_jitter(speeds: tuple[int, int]) -> None:
    for seed in range(20):
        faces, rng = tracker(), np.random.default_rng(seed)
        numbers: dict[str, int] = {}
        for n in range(41):
            near, far = (round(300 + speed * (n / 10 - 2)) for speed in speeds)
            (x, y), (far_x, far_y) = rng.normal(0, 4, (2, 2)).round().astype(int).tolist()
            seen = {
                "near": Box(near + x, 50 + y, 100, 100),
                "far": Box(far + 10 + far_x, 50 + far_y, 95, 95),
            }
            if overlap(corners(seen["near"]), corners(seen["far"])) > SAME_FACE:
                del seen["far"]

            assigned = faces.update(n / 10, [*seen.values()])

            numbers |= {[*seen][one.place]: one.id for one in assigned}
        assert numbers == {"near": 1, "far": 2}


@pytest.mark.parametrize(("apart", "sway", "period"), [(130, 60, 2.0), (110, 40, 1.5)])
def test_neighbours_whose_heads_sway_keep_their_numbers(
    apart: int, sway: int, period: float
) -> None:
    faces = tracker()
    for n in range(100):
        aside = round(sway * np.sin(2 * np.pi * n / 5 / period))

        assigned = faces.update(n / 5, [box(aside), box(apart - aside)])

        assert {one.place: one.id for one in assigned} == {0: 1, 1: 2}


def test_who_runs_in_another_ones_wake_keeps_the_number() -> None:
    """Half a second later, the one behind is where the one before is now."""
    faces = tracker()
    for n in range(20):
        assigned = faces.update(n / 10, [box(60 * n), box(60 * n + 270, 99)])

        assert {one.place: one.id for one in assigned} == {0: 1, 1: 2}


@pytest.mark.parametrize(("hidden", "on"), [(0.5, 0), (0.5, 300), (3.0, 300)])
def test_who_was_hidden_stopped_there_or_went_on_for_half_a_second(hidden: float, on: int) -> None:
    faces = tracker(memory=5)
    for n in range(10):
        faces.update(n / 10, [box(60 * n)])

    assert faces.update(0.9 + hidden, [box(60 * 9 + on)])[0].id == 1


def test_a_face_that_grows_has_no_speed() -> None:
    faces = tracker()
    for n in range(10):
        faces.update(n / 10, [Box(-20 * n, -20 * n, 100 + 40 * n, 100 + 40 * n)])

    assert faces._tracks[0].velocity == pytest.approx((0, 0))


def test_a_face_belongs_to_whom_it_fits_best_not_to_the_oldest() -> None:
    faces = tracker()
    faces.update(0.0, [box(0), box(120)])

    assert faces.update(0.1, [box(110)])[0].id == 2


def test_a_face_in_frames_of_the_same_time_moves_without_speed() -> None:
    faces = tracker()

    assert {faces.update(1.0, [box(60 * n)])[0].id for n in range(9)} == {1}


def test_a_face_between_two_known_ones_is_the_older_one() -> None:
    faces = tracker()
    faces.update(0.0, [box(0), box(200)])
    faces.update(0.1, [box(200), box(0)])

    assert faces.update(0.2, [box(100)])[0].id == 1


@pytest.mark.parametrize(("moved", "number"), [(130, 1), (-130, 1), (140, 2)])
def test_a_face_may_move_by_its_width_and_a_third(moved: int, number: int) -> None:
    faces = tracker()
    faces.update(0.0, [box(0)])

    assert faces.update(0.1, [box(moved)])[0].id == number


def test_a_lost_face_keeps_its_number_for_a_while_only() -> None:
    faces = tracker(memory=1.0)
    faces.update(0.0, [box(0)])

    assert faces.update(0.5, []) == []
    assert faces.update(1.0, [box(10)])[0].id == 1
    assert faces.update(1.5, []) == []
    assert faces.update(2.1, [box(10)])[0].id == 2


@pytest.mark.parametrize(("memory", "apart"), [(1.0, 2.0), (1.0, 1.02), (0.0, 0.1)])
def test_a_face_of_two_frames_in_a_row_was_never_lost(memory: float, apart: float) -> None:
    faces = tracker(memory=memory)

    assert {faces.update(n * apart, [box(n)])[0].id for n in range(20)} == {1}


def test_who_is_gone_leaves_the_mood_to_others_sooner_than_the_number() -> None:
    faces = Tracker(max_faces=5, memory=10.0, primary_lead=1.5, primary_memory=2.0)
    faces.update(0.0, [box(0), box(400, 90)])

    told = {n: faces.update(n, [box(400, 90)])[0].primary for n in (1.0, 2.0, 2.1, 3.0)}
    assert told == {1.0: False, 2.0: False, 2.1: True, 3.0: True}
    assert [one.id for one in faces.update(4.0, [box(0), box(400, 90)])] == [1, 2]


def test_the_largest_face_is_primary_until_another_is_much_larger() -> None:
    faces = tracker(lead=1.5)
    assert [one.primary for one in faces.update(0.0, [box(0), box(400, 90)])] == [True, False]

    nearly = faces.update(0.1, [box(0), box(400, 120)])
    much = faces.update(0.2, [box(0), box(400, 130)])

    assert [(one.place, one.primary) for one in nearly] == [(1, False), (0, True)]
    assert [(one.place, one.primary) for one in much] == [(1, True), (0, False)]


def test_a_blink_of_the_primary_face_makes_nobody_else_primary() -> None:
    faces = tracker(memory=1.0)
    faces.update(0.0, [box(0), box(400, 90)])

    assert [one.primary for one in faces.update(0.5, [box(400, 90)])] == [False]
    assert [one.primary for one in faces.update(0.9, [box(0), box(400, 90)])] == [True, False]
    assert [one.primary for one in faces.update(2.0, [box(400, 90)])] == [True]


def test_only_the_largest_are_kept_and_the_primary_one_is_not_crowded_out() -> None:
    faces = tracker(max_faces=1)
    faces.update(0.0, [box(0)])

    for n in range(1, 10):
        (only,) = faces.update(n / 10, [box(400, 110), box(0)])
        assert (only.place, only.id, only.primary) == (1, 1, True)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_numbers_are_unique_and_at_most_one_is_primary(seed: int) -> None:
    faces, rng, time = tracker(max_faces=3), np.random.default_rng(seed), 0.0
    known: set[int] = set()
    for _ in range(300):
        time += float(rng.choice((0.0, 0.03, 0.3, 2.0)))
        boxes = [
            Box(*rng.integers(600, size=2).tolist(), *rng.integers(1, 200, 2).tolist())
            for _ in range(rng.integers(6))
        ]

        assigned = faces.update(time, boxes)

        ids = [one.id for one in assigned]
        areas = [boxes[one.place].width * boxes[one.place].height for one in assigned]
        assert len(set(ids)) == len(ids) == min(3, len(boxes))
        assert len({one.place for one in assigned}) == len(assigned)
        assert sum(one.primary for one in assigned) <= 1
        assert areas == sorted(areas, reverse=True)
        new = sorted(set(ids) - known)
        assert all(number > max(known, default=0) for number in new)
        known |= set(ids)


def test_a_face_is_missed_for_so_many_seconds_and_no_longer() -> None:
    faces = tracker(memory=5)
    faces.update(0.0, [box(0)])
    assert not faces.misses(1)
    for time, missed in ((1.0, True), (1.1, False)):
        faces.update(time, [])
        assert faces.misses(1) is missed
    assert faces.misses(2)
    faces.update(1.2, [box(0)])
    assert not faces.misses(2)

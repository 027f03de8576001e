"""Tests of the rule that moves the diffuser."""

from __future__ import annotations

import math
import random
from dataclasses import fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from serenbox.mood.slot import SlotRule
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.settings.schema import DiffuserSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY = 86_400.0
SETTINGS = DiffuserSettings(enabled=True, dwell=10, off_after=30, minimum_on=60)


def play(
    moods: Iterable[tuple[float, str]], settings: DiffuserSettings = SETTINGS, end: float = 1e4
) -> list[tuple[float, str]]:
    """Drive the rule as the service does, with each mood and whenever it is due."""
    rule, changes = SlotRule(settings), [(0.0, "off")]

    def update(time: float, mood: str) -> None:
        slot = rule.update(time, mood)
        if slot != changes[-1][1]:
            changes.append((time, slot))

    steps = [*moods, (end, None)]
    for (time, mood), (following, _) in pairwise(steps):
        assert mood is not None
        update(time, mood)
        while rule.due < following:
            update(rule.due, mood)
    return changes[1:]


def test_every_mood_has_a_wish_and_the_defaults_are_the_two_groups() -> None:
    keys = {field.name for field in fields(DiffuserSettings)}
    assert set(MOOD_LABELS) == keys - {"enabled", "dwell", "off_after", "minimum_on"}
    groups: dict[str, set[str]] = {}
    for label in MOOD_LABELS:
        groups.setdefault(getattr(DiffuserSettings(), label), set()).add(label)
    assert groups == {
        "A": {"angry", "fear", "surprise"},
        "B": {"disgust", "happy", "neutral", "sad"},
        "off": {"no_face", "no_camera", "paused"},
        "keep": {"uncertain"},
    }
    assert DiffuserSettings().enabled is False


def test_a_mood_that_lasts_turns_its_oil_on() -> None:
    assert play([(100, "happy")]) == [(110, "B")]
    assert play([(100, "angry")]) == [(110, "A")]
    assert play([(100, "happy"), (109, "no_face")]) == []


def test_moods_of_one_group_count_together() -> None:
    assert play([(0, "angry"), (6, "fear"), (9, "surprise"), (12, "sad"), (15, "fear")]) == [
        (10, "A")
    ]


def test_the_other_oil_waits_for_the_minimum() -> None:
    assert play([(0, "happy"), (20, "angry")]) == [(10, "B"), (70, "A")]
    assert play([(0, "happy"), (200, "angry")]) == [(10, "B"), (210, "A")]
    # A mood that does not last until then changes nothing.
    assert play([(0, "happy"), (20, "angry"), (69, "sad")]) == [(10, "B")]


def test_whoever_leaves_leaves_it_on_for_a_while() -> None:
    assert play([(0, "happy"), (100, "no_face")]) == [(10, "B"), (130, "off")]
    assert play([(0, "happy"), (100, "no_face"), (129, "sad")]) == [(10, "B")]
    assert play([(0, "happy"), (12, "no_camera")]) == [(10, "B"), (70, "off")]
    assert play([(0, "happy"), (100, "no_face"), (115, "no_camera")]) == [(10, "B"), (130, "off")]


def test_paused_is_off_at_once_whatever_the_times() -> None:
    assert play([(0, "happy"), (11, "paused")]) == [(10, "B"), (11, "off")]
    assert play([(0, "happy"), (100, "no_face"), (105, "paused")]) == [(10, "B"), (105, "off")]
    kept = replace(SETTINGS, paused="keep")
    assert play([(0, "happy"), (11, "paused")], kept) == [(10, "B")]


def test_keep_changes_nothing_and_what_was_wished_begins_again() -> None:
    assert play([(0, "happy"), (20, "uncertain")]) == [(10, "B")]
    assert play([(0, "uncertain")]) == []
    assert play([(0, "angry"), (8, "uncertain"), (9, "angry")]) == [(19, "A")]
    fades = replace(SETTINGS, uncertain="off")
    assert play([(0, "happy"), (100, "uncertain")], fades) == [(10, "B"), (130, "off")]


def test_moods_can_be_mapped_otherwise() -> None:
    mapped = replace(SETTINGS, happy="A", neutral="off", sad="keep")
    moods = [(0.0, "happy"), (100.0, "sad"), (200.0, "neutral")]
    assert play(moods, mapped) == [(10, "A"), (230, "off")]


def test_no_times_at_all() -> None:
    at_once = replace(SETTINGS, dwell=0, off_after=0, minimum_on=0)
    moods = [(1.0, "happy"), (2.0, "angry"), (3.0, "no_face"), (4.0, "uncertain"), (5.0, "fear")]
    assert play(moods, at_once) == [(1, "B"), (2, "A"), (3, "off"), (5, "A")]


def test_nothing_is_due_where_nothing_would_change() -> None:
    rule = SlotRule(SETTINGS)
    assert rule.due == math.inf
    rule.update(5, "no_face")
    assert rule.due == math.inf
    rule.update(6, "happy")
    assert rule.due == 16
    rule.update(7, "sad")
    assert rule.due == 16
    assert rule.update(16, "sad") == "B"
    assert rule.due == math.inf


def test_who_is_asked_late_is_late_and_still_keeps_the_minimum() -> None:
    """As after a machine that was busy or asleep."""
    rule = SlotRule(SETTINGS)
    rule.update(0, "happy")
    assert rule.update(50, "sad") == "B"
    assert rule.update(51, "angry") == "B"
    assert rule.due == 110
    # A slot that earlier moods asked for, but the latest does not, is not set.
    assert rule.update(500, "happy") == "B"
    assert rule.update(501, "angry") == "B"
    assert rule.update(600, "angry") == "A"
    assert rule.update(601, "happy") == "A"
    assert rule.due == 660


@pytest.mark.parametrize("seed", range(4))
def test_it_never_flickers_and_always_follows(seed: int) -> None:
    """Check the slots of a day of random moods against the definition."""
    chance = random.Random(seed)  # noqa: S311 - the same days every time
    settings = replace(
        SETTINGS,
        dwell=chance.choice((0, 1, 10)),
        off_after=chance.choice((0, 5, 30)),
        minimum_on=chance.choice((0, 20, 60)),
        uncertain=chance.choice(("off", "keep")),
    )
    moods, time = [], 0.0
    while time < DAY:
        moods.append((time, chance.choice(MOOD_LABELS)))
        time += chance.choice((0.5, 1, 3, 20, 200))
    spans = [(0.0, "off"), *play(moods, settings, time)]
    assert len(spans) > 50
    for (since, slot), (until, following) in pairwise(spans):
        check_change(moods, settings, since, slot, until, following)
    for (start, mood), (end, _) in pairwise(moods):
        wish = getattr(settings, mood)
        held = settings.off_after if wish == "off" else settings.dwell
        if wish != "keep" and end - start > max(held, settings.minimum_on):
            assert [slot for since, slot in spans if since < end][-1] == wish


def check_change(
    moods: list[tuple[float, str]],
    settings: DiffuserSettings,
    since: float,
    slot: str,
    until: float,
    following: str,
) -> None:
    """Check that the slot set at `since` had a reason to change at `until`."""
    held = settings.off_after if following == "off" else settings.dwell
    before = [mood for start, mood in moods if start <= until - held][-1]
    during = {before, *(mood for start, mood in moods if until - held < start <= until)}
    if [mood for start, mood in moods if start <= until][-1] != "paused":
        assert {getattr(settings, mood) for mood in during} == {following}
        assert slot == "off" or until - since >= settings.minimum_on

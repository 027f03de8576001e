"""What the history output removes, and when: a clock may be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.daemon_process import wait_for
from tests.history_output import DAY

if TYPE_CHECKING:
    from tests.history_output import History


def test_old_minutes_are_removed_but_not_because_of_a_clock_set_ahead(history: History) -> None:
    history.live(2)
    history.restart(days=1)
    history.wait_pruned()
    history.clocks.now += 60 * (DAY - 2)
    history.live(1)  # meanwhile the first minute has become too old
    wait_for(lambda: set(history.kept()) == {1, DAY}, "the first minute to be removed")
    history.clocks.ahead += 10 * 86400
    history.live(2)
    history.wait_written(3)
    history.wait_pruned()
    assert set(history.kept()) == {1, DAY, 11 * DAY + 1, 11 * DAY + 2}
    history.clocks.now += 3600
    history.live(1)
    wait_for(lambda: not {1, DAY} & set(history.kept()), "old minutes to be removed after all")


@pytest.mark.parametrize("hours", [26, 40 * 24])
def test_nothing_is_removed_by_a_clock_that_is_ahead_at_the_start(
    history: History, hours: int
) -> None:
    history.live(2)
    history.clocks.ahead += hours * 3600
    for _ in range(2):  # what the first one keeps must not mislead the second one
        history.restart(days=1)
        history.live(2)
        history.wait_written(1)
        history.wait_pruned()
        assert {0, 1} <= set(history.kept())
    history.clocks.now += 3600
    history.live(1)
    wait_for(lambda: not {0, 1} & set(history.kept()), "old minutes to be removed after all")


@pytest.mark.parametrize("battery", [False, True])
def test_old_minutes_are_removed_by_a_box_that_is_never_on_for_an_hour(
    history: History, *, battery: bool
) -> None:
    off = DAY * 60 - 300
    for _ in range(4):
        history.live(5)
        history.wait_written(5)
        history.synchronized.touch()
        history.wait_pruned()
        history.clocks.now += off if battery else 0
        history.restart(days=1)
        history.clocks.ahead += 0 if battery else off  # the network sets it once the box is on
    history.live(5)
    wait_for(lambda: min(history.kept()) >= 2 * DAY, "the minutes of the first days to be removed")
    assert 3 * DAY in history.kept(), "it is too old only if the clock is right"


def test_nothing_is_removed_by_a_clock_set_ahead_after_the_network_had_set_it(
    history: History,
) -> None:
    history.live(2)
    history.wait_written(2)
    history.synchronized.touch()
    for written in (4, 6):
        history.clocks.ahead += 40 * 86400
        history.live_after(0, 2, written)
    history.output.close(30)
    assert {0, 1} < set(history.kept())


def test_what_a_clock_kept_that_was_ahead_is_removed_when_it_is_right_for_long(
    history: History,
) -> None:
    history.clocks.ahead += 700 * 86400
    history.live(2)
    history.clocks.ahead -= 700 * 86400
    history.live(2)
    history.wait_written(4)
    history.wait_pruned()
    wrong = {700 * DAY, 700 * DAY + 1}
    assert set(history.kept()) == {2, 3} | wrong
    history.restart()  # a restart alone is no reason to trust the clock
    history.wait_pruned()
    history.live_after(5, 1, 1)
    assert wrong < set(history.kept())
    history.live_after(1, 1, 1)
    assert wrong < set(history.kept()), "nobody knows yet which of both times is right"
    history.synchronized.touch()
    history.live(1)
    wait_for(lambda: not wrong & set(history.kept()), "what lies ahead to be removed")
    assert {2, 3} < set(history.kept())


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_is_removed_by_a_clock_that_is_behind(history: History, *, restarted: bool) -> None:
    history.live(2)
    history.clocks.ahead -= 40 * 86400
    if restarted:
        history.restart()
    written = 0 if restarted else 2
    for hours in (0, 5, 12):
        written += 2
        history.live_after(hours, 2, written)
        assert {0, 1} < set(history.kept())
    history.clocks.ahead += 40 * 86400
    history.live(1)
    history.clocks.now += 2 * 3600
    history.live(1)
    history.wait_written(written + 2)
    history.output.close(30)
    assert {0, 1} < set(history.kept())


@pytest.mark.parametrize("restarted", [False, True])
def test_what_lies_ahead_of_a_clock_set_from_the_network_stays_for_six_hours(
    history: History, *, restarted: bool
) -> None:
    history.live(2)
    history.wait_written(2)
    history.synchronized.touch()
    history.clocks.ahead -= 2 * 86400
    if restarted:
        history.restart()
    written = 0 if restarted else 2
    for hours in (0, 5):
        written += 2
        history.live_after(hours, 2, written)
        assert {0, 1} < set(history.kept())
    history.clocks.now += 3600
    history.live(1)
    wait_for(lambda: not {0, 1} & set(history.kept()), "what lies ahead to be removed")

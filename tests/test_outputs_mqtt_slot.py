"""Tests of what the topic of the slot gets."""

from __future__ import annotations

from itertools import pairwise

from serenbox.outputs.messages import HEARTBEAT
from serenbox.outputs.mqtt_slot import SlotTopic


def test_changes_at_once_and_else_now_and_then() -> None:
    topic = SlotTopic()
    assert topic.again(0) == "off"
    told = {}
    for second in range(200):  # a mood every second
        slot = "A" if second >= 100 else "off"
        if news := topic.news({"slot": slot}, second):
            told[second] = news
    assert told == {30: "off", 60: "off", 90: "off", 100: "A", 130: "A", 160: "A", 190: "A"}


def test_the_heartbeat_of_the_moods_is_enough() -> None:
    """The documentation promises a message at least every 90 seconds."""
    topic = SlotTopic()
    topic.again(0)
    moods = [29.9 + number * HEARTBEAT for number in range(5)]
    told = [0.0, *(time for time in moods if topic.news({"slot": "off"}, time))]
    assert max(after - before for before, after in pairwise(told)) < 90


def test_a_new_connection_hears_what_holds() -> None:
    topic = SlotTopic()
    topic.take({"slot": "B"})
    assert topic.again(5) == "B"
    assert topic.news({"slot": "B"}, 6) is None
    assert topic.news({}, 7) == "off"

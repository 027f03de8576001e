"""Tests of the mailbox and the rate limit between callers and threads."""

from __future__ import annotations

import threading
import time
import tracemalloc

import pytest

from serenbox.outputs.queueing import EVENT_LIMIT, Mailbox, RateLimit


@pytest.fixture
def mailbox() -> Mailbox:
    made = Mailbox(lambda: None)
    made.open()
    return made


def drain(mailbox: Mailbox) -> list[tuple[str, object]]:
    taken: list[tuple[str, object]] = []
    while (item := mailbox.take()) is not None:
        taken.append((item[0], item[1]["n"]))
    return taken


def test_order_is_kept_and_only_the_latest_mood_waits(mailbox: Mailbox) -> None:
    mailbox.put("mood", {"n": 1})
    mailbox.put("event", {"n": 2})
    mailbox.put("stats", {"n": 3})
    mailbox.put("mood", {"n": 4})
    mailbox.put("event", {"n": 5})
    assert drain(mailbox) == [("event", 2), ("stats", 3), ("mood", 4), ("event", 5)]
    assert mailbox.dropped == 0


def test_too_many_events_push_out_the_oldest(mailbox: Mailbox) -> None:
    for number in range(EVENT_LIMIT + 10):
        mailbox.put("event", {"n": number})
    mailbox.put("mood", {"n": -1})
    taken = drain(mailbox)
    assert taken[:-1] == [("event", number) for number in range(10, EVENT_LIMIT + 10)]
    assert taken[-1] == ("mood", -1)
    assert mailbox.dropped == 10
    mailbox.put("event", {"n": 1})
    assert drain(mailbox) == [("event", 1)]


def test_a_closed_one_counts_what_it_does_not_take() -> None:
    woken: list[int] = []
    mailbox = Mailbox(lambda: woken.append(1))
    mailbox.put("event", {"n": 1})
    mailbox.put("mood", {"n": 2})
    assert (mailbox.dropped, mailbox.take(), woken) == (1, None, [])
    mailbox.open()
    mailbox.put("event", {"n": 3})
    mailbox.put("stats", {"n": 4})
    assert len(woken) == 2
    mailbox.shut(forget=False)
    mailbox.put("event", {"n": 5})
    assert drain(mailbox) == [("event", 3), ("stats", 4)]
    assert mailbox.dropped == 2
    mailbox.open()
    mailbox.put("event", {"n": 6})
    mailbox.shut()
    assert (mailbox.dropped, mailbox.take()) == (3, None)
    mailbox.count_dropped(4)
    assert mailbox.dropped == 7


def test_memory_does_not_grow(mailbox: Mailbox) -> None:
    def fill() -> None:
        for number in range(5 * EVENT_LIMIT):
            mailbox.put("event", {"n": number})
            mailbox.put("mood", {"n": number})
            mailbox.put("stats", {"n": number})

    fill()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            fill()
        # What waits now was allocated since `before`: at most one full mailbox.
        full = EVENT_LIMIT * 1000
        assert tracemalloc.get_traced_memory()[0] - before < full
    finally:
        tracemalloc.stop()


def test_threads_lose_nothing(mailbox: Mailbox) -> None:
    taken: list[int] = []
    done = threading.Event()

    def consume() -> None:
        while not done.is_set() or mailbox._waiting:
            item = mailbox.take()
            if item is not None:
                taken.append(item[1]["n"])

    thread = threading.Thread(target=consume)
    thread.start()
    for number in range(3000):
        mailbox.put("event", {"n": number})
        if number % 50 == 0:
            time.sleep(0.001)
    done.set()
    thread.join()
    assert taken == sorted(set(taken))
    assert len(taken) + mailbox.dropped == 3000


def test_the_rate_limit_counts_what_it_held_back() -> None:
    now = 0.0
    limit = RateLimit(60, lambda: now)
    assert limit.pass_on() == 1
    assert [limit.pass_on() for _ in range(5)] == [0] * 5
    now = 59.9
    assert limit.pass_on() == 0
    now = 60.0
    assert limit.pass_on() == 7
    assert limit.pass_on() == 0

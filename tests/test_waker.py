from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.signals import Signals
from serenbox.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def waker() -> Iterator[Waker]:
    made = Waker()
    yield made
    made.close()


def awake(waker: Waker) -> bool:
    return bool(select.select([waker], [], [], 0)[0])


def test_sleeps_until_it_is_set(waker: Waker) -> None:
    assert not awake(waker)
    waker.wake()
    waker.wake()
    assert awake(waker)
    waker.clear()
    assert not awake(waker)


def test_any_number_of_wakes_is_one(waker: Waker) -> None:
    for _ in range(100_000):  # more than the pipe holds
        waker.wake()
    waker.clear()
    assert not awake(waker)


def test_waking_what_is_closed_is_harmless() -> None:
    waker = Waker()
    waker.close()
    waker.close()
    waker.wake()


@pytest.fixture
def signals(waker: Waker) -> Iterator[Signals]:
    numbers = (signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    yield Signals(waker, numbers)
    signal.set_wakeup_fd(-1)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_wakes_and_is_remembered(waker: Waker, signals: Signals) -> None:
    assert not signals.pending(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert awake(waker)
    assert signals.pending(signal.SIGUSR1, signal.SIGUSR2)
    assert not signals.came(signal.SIGUSR2)
    assert signals.came(signal.SIGUSR1)
    assert not signals.came(signal.SIGUSR1)

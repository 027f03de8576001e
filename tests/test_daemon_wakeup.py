from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.wakeup import Signals, Wakeup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


def awake(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_sleeps_until_it_is_set(wakeup: Wakeup) -> None:
    assert not awake(wakeup)
    wakeup.set()
    wakeup.set()
    assert awake(wakeup)
    wakeup.clear()
    assert not awake(wakeup)


def test_any_number_of_wakes_is_one(wakeup: Wakeup) -> None:
    for _ in range(100_000):  # more than the pipe holds
        wakeup.set()
    wakeup.clear()
    assert not awake(wakeup)


def test_waking_what_is_closed_is_harmless() -> None:
    wakeup = Wakeup()
    wakeup.close()
    wakeup.close()
    wakeup.set()


@pytest.fixture
def signals(wakeup: Wakeup) -> Iterator[Signals]:
    numbers = (signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    yield Signals(wakeup, numbers)
    signal.set_wakeup_fd(-1)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_wakes_and_is_remembered(wakeup: Wakeup, signals: Signals) -> None:
    assert not signals.pending(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert awake(wakeup)
    assert signals.pending(signal.SIGUSR1, signal.SIGUSR2)
    assert not signals.came(signal.SIGUSR2)
    assert signals.came(signal.SIGUSR1)
    assert not signals.came(signal.SIGUSR1)

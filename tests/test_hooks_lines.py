"""Tests of how the log shows what a hook prints."""

from __future__ import annotations

import logging
import random

import pytest

from serenbox.hooks.lines import LENGTH, LINES, WINDOW, LineLog


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock, caplog: pytest.LogCaptureFixture) -> LineLog:
    caplog.set_level(logging.INFO, "serenbox.hooks")
    return LineLog("lamp", clock)


def test_each_line_is_one_of_the_log_however_it_is_cut(
    lines: LineLog, caplog: pytest.LogCaptureFixture
) -> None:
    text = "on\nüber\n\n  indented \r\nlast".encode()
    chance = random.Random(1)  # noqa: S311 - the same cuts every time
    while text:
        cut = chance.randrange(1, 5)
        lines.feed(text[:cut])
        text = text[cut:]
    lines.finish()
    assert caplog.messages == ["lamp: on", "lamp: über", "lamp:   indented", "lamp: last"]


def test_a_long_line_is_cut(lines: LineLog, caplog: pytest.LogCaptureFixture) -> None:
    lines.feed(b"x" * LENGTH + b"\n")
    for _ in range(1000):
        lines.feed(b"y" * 65536)
    lines.feed(b"\nz")
    lines.finish()
    assert caplog.messages == [f"lamp: {'x' * LENGTH}", f"lamp: {'y' * LENGTH}…", "lamp: z"]


def test_what_is_no_text_does_no_harm(lines: LineLog, caplog: pytest.LogCaptureFixture) -> None:
    lines.feed(bytes(range(256)))
    lines.finish()
    assert len(caplog.messages) == 2


def test_a_flood_is_counted(lines: LineLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        lines.feed(b"y\n" * 32768)
    lines.finish()
    assert len(caplog.messages) == LINES + 1
    assert f": {100 * 32768 - LINES} lines of it are not logged" in caplog.messages[-1]
    for _ in range(5):  # further runs within the same minute
        lines.feed(b"y\n")
        lines.finish()
    assert len(caplog.messages) == LINES + 1
    clock.now += WINDOW
    lines.feed(b"again\n")
    lines.finish()
    assert caplog.messages[-2] == "lamp: again"
    assert ": 5 lines of it are not logged" in caplog.messages[-1]
    clock.now += WINDOW
    lines.feed(b"y\n" * (LINES + 1))
    lines.finish()
    assert ": 1 line of it is not logged" in caplog.messages[-1]

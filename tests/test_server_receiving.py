"""Bodies that are slow, broken, or read in odd ways."""

from __future__ import annotations

from io import BytesIO

import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from serenbox.server.errors import BrokenBodyError, TooSlowError
from serenbox.server.receiving import GuardedInput, discard_body


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Trickle(BytesIO):
    """Gives one byte a second."""

    def __init__(self, content: bytes, clock: Clock) -> None:
        super().__init__(content)
        self._clock = clock

    def read(self, size: int | None = -1) -> bytes:
        self._clock.now += 1
        return super().read(min(1, 1 if size is None else size))


class Failing(BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002
        raise self._error


def test_hands_on_what_comes_in_time() -> None:
    guarded = GuardedInput(BytesIO(b"one\ntwo"), 10, clock=Clock())

    assert guarded.readline() == b"one\n"
    assert guarded.readline(2) == b"tw"
    assert (guarded.read(), guarded.read()) == (b"o", b"")


def test_gives_up_on_a_body_that_trickles_though_it_never_stops() -> None:
    clock = Clock()
    guarded = GuardedInput(Trickle(b"x" * 100, clock), 3, clock=clock)

    assert [guarded.read(10) for _ in range(3)] == [b"x"] * 3
    with pytest.raises(TooSlowError):
        guarded.read(10)


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("chunk"), EOFError()])
def test_a_broken_connection_is_no_mistake_of_the_server(error: Exception) -> None:
    with pytest.raises(BrokenBodyError):
        GuardedInput(Failing(error), 10, clock=Clock()).read(1)


def test_errors_of_http_pass() -> None:
    with pytest.raises(RequestEntityTooLarge):
        GuardedInput(Failing(RequestEntityTooLarge()), 10, clock=Clock()).read(1)


def test_a_body_that_is_shorter_than_promised_is_broken() -> None:
    guarded = GuardedInput(BytesIO(b"1234"), 10, 5, clock=Clock())

    assert guarded.read(10) == b"1234"
    assert guarded.read(0) == b""
    with pytest.raises(BrokenBodyError):
        guarded.read(1)


def test_a_body_that_is_as_long_as_promised_just_ends() -> None:
    guarded = GuardedInput(BytesIO(b"1234"), 10, 4, clock=Clock())

    assert (guarded.read(), guarded.read()) == (b"1234", b"")


@pytest.mark.parametrize(("limit", "left"), [(100_000, b""), (70_000, b"x" * 20_000)])
def test_discards_up_to_the_limit(limit: int, left: bytes) -> None:
    stream = BytesIO(b"x" * 90_000)

    discard_body({"wsgi.input": stream, "wsgi.input_terminated": True}, limit)

    assert stream.read() == left


def test_discards_nothing_that_might_never_end() -> None:
    stream = BytesIO(b"x")

    discard_body({"wsgi.input": stream}, 10)

    assert stream.read() == b"x"

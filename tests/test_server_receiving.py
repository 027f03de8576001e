"""Bodies that are slow, broken, or read in odd ways."""

from __future__ import annotations

from io import BytesIO

import pytest
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable
from werkzeug.test import EnvironBuilder

from serenbox.server.errors import BrokenBodyError, NotAnImageError, TooSlowError
from serenbox.server.receiving import GuardedInput, PictureRequest, discard_body, read_picture


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


def test_a_connection_that_breaks_after_the_time_was_too_slow() -> None:
    clock = Clock()
    guarded = GuardedInput(Failing(OSError("reset")), 10, clock=clock)
    clock.now = 11
    with pytest.raises(TooSlowError):
        guarded.read(1)


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


def test_discards_what_it_can_of_a_body_that_breaks() -> None:
    broken = GuardedInput(Failing(OSError("reset")), 10, clock=Clock())

    discard_body({"wsgi.input": broken, "wsgi.input_terminated": True}, 10)


def test_discards_nothing_that_might_never_end() -> None:
    stream = BytesIO(b"x")

    discard_body({"wsgi.input": stream}, 10)

    assert stream.read() == b"x"


def ask(stream: BytesIO, kind: str = "", encoding: str = "") -> PictureRequest:
    """Return a request with a body of unknown length, as in chunks."""
    environment = EnvironBuilder(method="POST").get_environ()
    environment |= {"CONTENT_TYPE": kind, "HTTP_CONTENT_ENCODING": encoding}
    environment["wsgi.input"] = GuardedInput(stream, 10, clock=Clock())
    environment["wsgi.input_terminated"] = True
    request = PictureRequest(environment)
    request.max_content_length = 100_000
    return request


def no_limit(_: int) -> None:
    pass


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_that_is_as_it_is_may_say_so(encoding: str) -> None:
    request = ask(BytesIO(b"x"), encoding=encoding)

    assert read_picture(request, no_limit) == ("-", b"x")


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(NotAnImageError):
        read_picture(ask(BytesIO(b"x"), encoding="gzip"), no_limit)


def test_what_is_refused_for_lack_of_room_is_read_to_its_end() -> None:
    """Else its sender would lose the answer that says so."""

    def refuse(_: int) -> None:
        raise ServiceUnavailable

    stream = BytesIO(b"x" * 300_000)
    request = ask(stream)
    with pytest.raises(ServiceUnavailable):
        read_picture(request, refuse)
    discard_body(request.environ, 400_000)

    assert stream.read() == b""


def test_a_form_in_chunks_that_is_too_large_is_not_blamed_on_its_fields() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    form = head + b"x" * 200_000 + b"\r\n--b--\r\n"
    with pytest.raises(RequestEntityTooLarge):
        read_picture(ask(BytesIO(form), kind="multipart/form-data; boundary=b"), no_limit)

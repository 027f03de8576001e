from __future__ import annotations

import json

from serenbox.web.streams import Backlog, chunk, event


class Line:
    """A socket that takes `room` bytes and then no more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.received = b""

    def send(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        taken = data[: self.room]
        self.room -= len(taken)
        self.received += taken
        return len(taken)


def test_an_event() -> None:
    message = {"mood": "happy", "text": "two\nlines"}
    head, data, end, _ = event("mood", message).decode().split("\n")
    assert (head, end) == ("event: mood", "")
    assert json.loads(data.removeprefix("data: ")) == message


def test_a_chunk() -> None:
    assert chunk(b"x" * 31) == b"1f\r\n" + b"x" * 31 + b"\r\n"


def test_what_was_begun_is_finished_and_of_the_rest_only_the_latest_is_sent() -> None:
    backlog, line = Backlog(), Line(3)
    backlog.add("mood", b"first;")
    assert backlog.send(line.send) == 3
    for number in range(1000):
        backlog.add("mood", b"%d;" % number)
        backlog.add("health", b"h%d;" % number)
    assert backlog.send(line.send) == 0
    assert backlog
    line.room = 100
    backlog.send(line.send)
    assert line.received == b"first;999;h999;"
    assert not backlog

"""What `serenbox serve` makes of bytes that are not, or not quite, HTTP."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from typing import TYPE_CHECKING

import pytest

from tests.server_process import (
    Server,
    form,
    read_all,
    workers_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nSCRIPT_NAME: /x\r\nConnection: close\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: strange\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_in_json(server: Server, head: bytes) -> None:
    answer = server.raw(head + b"\r\n" * 2)
    first, _, _ = answer.partition(b"\r\n")

    code = int(first.split()[1])
    assert 400 <= code < 500 or (code == 200 and b"SCRIPT_NAME" in head), answer
    assert b"<html" not in answer
    assert b"Traceback" not in answer


def test_no_header_moves_a_request_to_another_address(server: Server) -> None:
    """A proxy on this machine may let only some addresses through."""
    answer = server.raw(b"GET /x/metrics HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /x\r\n\r\n")
    assert b" 404 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("head", "status", "error", "word"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request", "not valid HTTP"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long", "address"),
        (b"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n", 417, "expectation_failed", "Expect"),
        (
            b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
            431,
            "request_header_fields_too_large",
            "headers",
        ),
    ],
)
def test_what_is_wrong_with_a_head_is_told(
    server: Server, head: bytes, status: int, error: str, word: str
) -> None:
    answer = json.loads(server.raw(head).partition(b"\r\n\r\n")[2])

    assert (answer["status"], answer["error"]) == (status, error)
    assert word in answer["message"]


def test_a_body_that_ends_early_is_refused(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b'"broken_body"' in answer


@pytest.mark.parametrize(("path", "status"), [("/predict", 413), ("/nowhere", 404)])
def test_a_body_that_is_far_too_large_is_told_so(
    patient_server: Server, path: str, status: int
) -> None:
    """A client that is still sending does not read: the answer must wait until all is sent."""
    assert patient_server.ask("POST", path, bytes(40 * 2**20)).status == status


def test_a_chunked_body_is_taken(server: Server, portrait_bytes: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(portrait_bytes), 50_000):
            part = portrait_bytes[start : start + 50_000]
            yield b"%x\r\n%b\r\n" % (len(part), part)
        yield b"0\r\n\r\n"

    head = b"POST /predict HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert b" 200 " in server.raw(head + b"".join(chunks())).split(b"\r\n")[0]


def test_random_bytes_on_the_wire_harm_nobody(server: Server, portrait_bytes: bytes) -> None:
    before = workers_of(server, 2)
    chance = random.Random(66)  # noqa: S311 - to be repeatable
    body, kind = form(portrait_bytes[:2000])
    whole = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body

    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(250)] = chance.randrange(256)
        with server.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(changed)
                connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)
        assert not answer or 200 <= int(answer.split(b" ")[1]) < 500, (bytes(changed[:300]), answer)
        assert b"Traceback" not in answer

    assert workers_of(server) == before

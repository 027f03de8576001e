"""`serenbox serve` with clients that are slow, stall or stay."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from gunicorn.workers import gthread

from serenbox.server.worker import PatientWorker
from tests.server_process import (
    Server,
    memory_of,
    read_all,
    serving,
    workers_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_body_that_stops_is_answered_in_time(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"

    assert b" 408 " in server.raw(head + b"only this").split(b"\r\n")[0]


def test_a_head_that_never_ends_is_given_up(server: Server) -> None:
    assert server.raw(b"GET / HTTP/1.1\r\nX-Slow: ") == b""


def test_silent_and_slow_clients_do_not_keep_others_out(
    server: Server, portrait_bytes: bytes
) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(120):
            connection = stack.enter_context(server.connect())
            if number % 4 == 0:
                connection.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n")

        assert server.ask("POST", "/predict", portrait_bytes).status == 200


def test_clients_that_neither_ask_nor_leave_keep_nobody_waiting(tmp_path: Path) -> None:
    """One worker has fewer threads than there are clients of each kind."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    kinds = {
        "half a head": head,
        "half a second head": head + b"\r\n" + head,
        "answered": head + b"Connection: close\r\n\r\n",
        "refused": b"GET / HTTP/9.9\r\n\r\n",
    }
    with (
        serving(tmp_path / "log", "--workers", "1", "--receive-seconds", "600") as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(40):
            for said in kinds.values():
                stack.enter_context(running.connect()).sendall(said)

        assert running.ask("GET", "/healthz").status == 200


def test_bodies_that_stall_keep_only_other_bodies_waiting(tmp_path: Path) -> None:
    """One worker has fewer threads than there are clients of each kind."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
    kinds = (b"content-length: 9\r\n", b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n")
    with (
        serving(tmp_path / "log", "--workers", "1", "--receive-seconds", "600") as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(40):
            for said in kinds:
                stack.enter_context(running.connect()).sendall(head + said + b"\r\n")

        assert running.ask("GET", "/healthz").status == 200


def test_requests_that_come_before_their_turn_take_up_little_memory(tmp_path: Path) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, 8000 * b"x") for number in range(3))
    request = b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
    with serving(tmp_path / "log", "--workers", "1") as running, running.connect() as connection:
        (worker,) = workers_of(running, 1)
        before, _ = memory_of(worker)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(connection.sendall, 400 * request)
            answers = b""
            while answers.count(b"HTTP/1.1 200 OK") < 400:
                answers += connection.recv(65536) or pytest.fail("the connection ended")
        _, most = memory_of(worker)

    assert most - before < 5 * 2**20


def test_a_head_in_pieces_is_put_together(server: Server, portrait_bytes: bytes) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(portrait_bytes)}\r\n"
    whole = head.encode() + b"\r\n" + portrait_bytes
    last = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (*(whole[at : at + 1] for at in range(100)), whole[100:] + last[:9]):
            connection.sendall(piece)
            server.ask("GET", "/")  # so that the pieces before it are read on their own
        connection.sendall(last[9:])
        answers = read_all(connection)

    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b'"status": "ok"' in answers


@pytest.mark.parametrize("piece", [b"x", b"X-A: b\r\n" * 1000])
def test_a_head_that_trickles_for_ever_is_given_up(server: Server, piece: bytes) -> None:
    """Its sender is not waited for longer than one that sends nothing more."""
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            while not select.select([connection], [], [], 0.1)[0]:
                connection.sendall(piece)
        answer = read_all(connection)

    assert answer[:13] in (b"", b"HTTP/1.1 431 ")


def test_who_promises_much_and_sends_little_keeps_nobody_out(
    server: Server, portrait_bytes: bytes
) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n."
    with contextlib.ExitStack() as stack:
        for _ in range(12):  # more bodies than both workers could hold
            stack.enter_context(server.connect()).sendall(head)

        assert server.ask("POST", "/predict", portrait_bytes).status == 200


def test_bodies_that_come_slowly_keep_nobody_waiting(
    patient_server: Server, portrait_bytes: bytes
) -> None:
    """They may take a minute; the two workers have threads to spare for them."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n."
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(patient_server.connect()).sendall(head)

        assert patient_server.ask("POST", "/predict", portrait_bytes).status == 200


def test_who_has_left_makes_room_for_others(tmp_path: Path) -> None:
    """A worker holds a thousand connections at a time."""
    question = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(tmp_path / "log", "--workers", "1") as running:
        for _ in range(1050):
            assert running.raw(question)


@dataclass(eq=False)
class Connection:
    """A stand-in for gunicorn's connection to a client."""

    sock: socket.socket


def test_who_does_not_take_an_answer_keeps_no_thread_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gthread.ThreadWorker, "murder_pending", lambda _: None)
    monkeypatch.setattr(PatientWorker, "receive_seconds", 2.0)
    worker = PatientWorker.__new__(PatientWorker)
    mine, other = socket.socketpair()
    with mine, other:
        mine.settimeout(5)
        connection = Connection(mine)
        worker.alive, worker._leaving = True, {}
        worker._begun = {connection: time.monotonic() - 4.0}
        worker.murder_pending()
        mine.sendall(b"it was too slow")  # the client can still be told
        worker._begun = {connection: time.monotonic() - 3.0 - PatientWorker.hang_up_seconds}
        worker.murder_pending()
        with pytest.raises(BrokenPipeError):
            mine.sendall(bytes(10_000_000))

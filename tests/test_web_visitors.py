"""Visitors of the page, on a real port: slow, many, silent and nonsensical."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest

from serenbox.outputs.messages import mood_message
from serenbox.web import connection as connection_module
from serenbox.web.connection import LARGEST_HEAD, Connection, Phase
from serenbox.web.server import CONNECTIONS, Server
from tests.mosquitto import wait_for
from tests.web_client import Viewer, ask_json, nonsense, say
from tests.web_page import LOST, PAUSED, Page, running_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import WSGIApplication


@pytest.fixture
def page() -> Iterator[Page]:
    with running_page() as running:
        yield running


def test_two_hundred_streams_that_are_never_read(page: Page) -> None:
    with contextlib.ExitStack() as open_ones:
        viewers = [open_ones.enter_context(Viewer(page.port)) for _ in range(200)]
        wait_for(lambda: page.output.health()["streams"] == 8, "all streams to be taken")
        for number in range(3000):  # far more than the system keeps for a silent viewer
            message = mood_message("box", float(number), "paused", None, 0.0)
            page.output.mood(message)
            if number % 100 == 0:
                wait_for(lambda: not page.output._mailbox._waiting, "messages to be taken")
        last = ask_json(page.port, "/api/mood")
        assert last["time"] == "1970-01-01T00:49:59.000Z"
        statuses = [_status(viewer) for viewer in viewers]
    assert statuses.count(200) == 8
    assert 503 in statuses  # some of the others were dismissed for newer visitors instead
    assert set(statuses) <= {200, 503, None}


def test_a_viewer_who_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection_module._PATIENCE, Phase.STREAMING, 0.5)
    page = Page()
    filler = {**PAUSED, "faces": ["x" * 60_000]}
    with Viewer(page.port):
        wait_for(lambda: page.output.health()["streams"] == 1, "the viewer")

        def dropped() -> bool:
            page.output.mood(filler)
            return not page.output.health()["streams"]

        wait_for(dropped, "the viewer to be dropped")
        assert page.output._site is not None
        assert page.output._site.server.dropped == 1
    page.output.close(5)


def test_slow_visitors_are_dropped_and_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection_module._PATIENCE, Phase.READING, 0.5)
    monkeypatch.setitem(connection_module._PATIENCE, Phase.IDLE, 0.5)
    page = Page()
    with contextlib.ExitStack() as open_ones:
        slow = []
        for number in range(3 * CONNECTIONS):
            sock = open_ones.enter_context(socket.create_connection(("127.0.0.1", page.port), 30))
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"GET / HT"[: number % 9])
            slow.append(sock)
        assert ask_json(page.port, "/api/mood")
        for sock in slow:  # all are hung up on
            with contextlib.suppress(ConnectionError):
                assert sock.recv(1) == b""
    page.output.close(5)


def test_a_large_body_a_long_head_and_many_requests_at_once(page: Page) -> None:
    post = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    assert b" 413 " in say(page.port, post + b"Content-Length: 9999\r\n\r\n" + b"x" * 9999)
    assert b" 431 " in say(page.port, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert b" 417 " in say(page.port, post + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert b" 400 " in say(page.port, b"GET nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 421 " in say(page.port, b"GET / HTTP/1.0\r\n\r\n")
    absolute = b"GET http://localhost/api/mood HTTP/1.0\r\nHost: localhost\r\n\r\n"
    assert b" 200 " in say(page.port, absolute)
    many = b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
    assert say(page.port, many).count(b"HTTP/1.1 200 OK") == 500


def environment_of(request: bytes) -> dict[str, Any]:
    """What an application is told of a request from 10.0.0.7; empty if it is not asked."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start("204 No Content", [])
        return []

    visitor, box = socket.socketpair()
    with (
        visitor,
        contextlib.closing(
            Connection(box, "10.0.0.7", cast("WSGIApplication", application), lambda *_: False)
        ) as connection,
    ):
        visitor.sendall(request)
        connection.readable()
    return seen


def test_what_the_application_is_told_of_a_request() -> None:
    """It decides by these who may watch the camera."""
    found = environment_of(
        b"POST /a%20b?period=day HTTP/1.1\r\nHost: box\r\nX-Forwarded-For: 1.2.3.4\r\n"
        b"X_Real_IP: 5.6.7.8\r\nSec_Fetch_Site: none\r\nSec-Fetch-Site: cross-site\r\n"
        b"Accept: a\r\nAccept: b\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    )
    assert (found["REQUEST_METHOD"], found["REMOTE_ADDR"]) == ("POST", "10.0.0.7")
    assert (found["PATH_INFO"], found["QUERY_STRING"]) == ("/a b", "period=day")
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"], found["body"]) == (
        "text/plain",
        "2",
        b"hi",
    )
    assert {name: value for name, value in found.items() if name.startswith("HTTP_")} == {
        "HTTP_HOST": "box",
        "HTTP_X_FORWARDED_FOR": "1.2.3.4",
        "HTTP_SEC_FETCH_SITE": "cross-site",
        "HTTP_ACCEPT": "a, b",
        "HTTP_COOKIE": "a=1; b=2",
    }


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("HTTP://box", "/"),
        ("https://box/api/mood?x=1", "/api/mood"),
        ("//box/", "//box/"),
        ("ftp://box/", None),
        ("http://[/", None),
        ("*", None),
    ],
)
def test_the_target_of_a_request(target: str, path: str | None) -> None:
    found = environment_of(f"GET {target} HTTP/1.1\r\nHost: box\r\n\r\n".encode())
    assert found.get("PATH_INFO") == path


def test_who_is_refused_may_finish_speaking(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """If hung up on at once, a visitor who is still sending may never see the answer."""
    monkeypatch.setitem(connection_module._PATIENCE, Phase.LEAVING, 60.0)  # on a slow machine, too
    with socket.create_connection(("127.0.0.1", page.port), 30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * LARGEST_HEAD)
        assert sock.recv(1, socket.MSG_PEEK)  # the answer is there
        for _ in range(20):
            sock.sendall(b"x" * 20_000)
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_who_is_refused_and_stays_is_hung_up_on(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection_module._PATIENCE, Phase.LEAVING, 0.1)
    with socket.create_connection(("127.0.0.1", page.port), 30) as sock:
        sock.sendall(b"GET nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")

        def hung_up() -> bool:
            try:
                sock.sendall(b"x")
            except ConnectionError:
                return True
            return False

        wait_for(hung_up, "the box to hang up")
    assert page.output._site is not None
    assert page.output._site.server.dropped == 0, "it had its answer"


def test_a_visitor_too_many_takes_the_place_of_the_oldest(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection_module._PATIENCE, Phase.IDLE, 600.0)
    with contextlib.ExitStack() as visits:
        oldest, second, *_ = [
            visits.enter_context(socket.create_connection(("127.0.0.1", page.port), 30))
            for _ in range(CONNECTIONS)
        ]
        assert ask_json(page.port, "/api/mood")
        assert oldest.recv(1) == b"", "hung up on"
        second.sendall(b"GET /api/mood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert second.recv(15) == b"HTTP/1.1 200 OK"


def test_the_oldest_may_speak_while_it_is_hung_up_on() -> None:
    def application(_: object, start: Callable[..., object]) -> list[bytes]:
        start("204 No Content", [])
        return []

    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        listener.setblocking(False)
        wsgi = cast("WSGIApplication", application)
        server = Server(listener, wsgi, limits={}, welcome=lambda *_: None)
        with contextlib.ExitStack() as visits, contextlib.closing(server):
            where = listener.getsockname()
            oldest, *_ = [
                visits.enter_context(socket.create_connection(where, 30))
                for _ in range(CONNECTIONS)
            ]
            for _ in range(CONNECTIONS):
                server.serve(30)
            newest = visits.enter_context(socket.create_connection(where, 30))
            oldest.sendall(b"x")  # so both are ready at once, in this order
            server.serve(30)
            newest.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            server.serve(30)
            assert newest.recv(12) == b"HTTP/1.1 204"


def test_after_running_out_of_files_it_lets_visitors_in_again(page: Page) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as visitor:
        visitor.settimeout(30)
        with socket.socket() as next_one:
            lowest = next_one.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            visitor.connect(("127.0.0.1", page.port))
            site = page.output._site
            assert site is not None
            wait_for(lambda: site.server.visited, "the visitor to be left waiting")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        visitor.sendall(b"GET /api/mood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert visitor.recv(15) == b"HTTP/1.1 200 OK"


def test_nonsensical_requests(page: Page) -> None:
    """The service gets ten thousand in test_web_faults.py; here the answers are checked, too."""
    chance = random.Random(7)  # noqa: S311
    statuses = Counter(say(page.port, nonsense(chance)).partition(b" ")[2][:3] for _ in range(1000))
    assert min(statuses[b"400"], statuses[b"404"], statuses[b"405"]) > 10
    assert statuses[b"200"] > 10  # some make sense after all
    assert statuses[b"500"] == 0
    assert ask_json(page.port, "/api/mood") == LOST
    assert page.output.health()["problem"] is None
    assert page.commands.count("pause") == 0
    assert threading.active_count() < 10


def _status(viewer: Viewer) -> int | None:
    try:
        return viewer.status()
    except (OSError, EOFError):
        return None
    except Exception:  # noqa: BLE001 - half an answer, because it was dismissed
        return None

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.daemon.control import ControlServer, ask_service
from serenbox.errors import NoServiceError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def answer(request: str) -> dict[str, Any]:
    if request == "status":
        return {"state": "sensing", "padding": "x" * 30_000}
    return {"error": f"the service does not know '{request}'"}


class Loop:
    """A thread that runs a selector, as the service's main thread does."""

    def __init__(self, path: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run)
        self._over = False
        self.server = ControlServer(path, self._selector, answer)
        self.server.open()
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.01):
                key.data()

    def close(self) -> None:
        self._over = True
        self._thread.join()
        self.server.close()
        self._selector.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.fixture
def loop(path: Path) -> Iterator[Loop]:
    made = Loop(path)
    yield made
    made.close()
    assert not path.exists()


@pytest.mark.usefixtures("loop")
def test_a_request_is_answered(path: Path) -> None:
    assert ask_service("status", [path.parent / "none", path])["state"] == "sensing"
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.usefixtures("loop")
def test_a_refusal_is_an_error(path: Path) -> None:
    with pytest.raises(ServiceError, match="does not know 'dance'"):
        ask_service("dance", [path])


def test_no_service_runs(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"no serenbox service is running \(looked at .*control"):
        ask_service("status", [path, tmp_path / "none" / "control"])


def test_a_killed_services_socket_is_in_nobodys_way(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    assert path.exists()
    with pytest.raises(ServiceError, match="no serenbox service is running"):
        ask_service("status", [path])
    loop = Loop(path)
    assert ask_service("status", [path])["state"] == "sensing"
    loop.close()


@pytest.mark.usefixtures("loop")
def test_silent_and_rude_clients_hold_up_nobody(path: Path) -> None:
    with ExitStack() as clients:
        for number in range(100):
            client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            client.connect(str(path))
            with suppress(BrokenPipeError):  # the service may hang up first
                if number % 3 == 1:
                    client.send(bytes(range(256)) * 100)  # far longer than any request
                if number % 3 == 2:
                    client.send(b"status")
                    client.close()  # does not wait for the answer
        assert ask_service("status", [path])["state"] == "sensing"
    assert ask_service("status", [path])["state"] == "sensing"


def test_nobody_lets_anybody_in(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, ExitStack() as clients:
        listener.bind(str(path))
        listener.listen(1)
        for _ in range(2):
            client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            client.connect(str(path))
        with pytest.raises(ServiceError, match="does not answer"):
            ask_service("status", [path], timeout=0.05)


def serve_once(path: Path, reply: bytes | None) -> threading.Thread:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            client.recv(100)
            if reply is None:
                client.recv(100)  # until the other side has gone
            else:
                client.send(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_service_that_hangs(path: Path) -> None:
    thread = serve_once(path, None)
    with pytest.raises(ServiceError, match=r"does not answer \(it took too long\): see its log"):
        ask_service("status", [path], timeout=0.05)
    thread.join()


@pytest.mark.parametrize("reply", [b"hello", json.dumps([1]).encode()])
def test_something_else_answers(path: Path, reply: bytes) -> None:
    thread = serve_once(path, reply)
    with pytest.raises(ServiceError, match="is not a serenbox service"):
        ask_service("status", [path])
    thread.join()


def test_where_no_socket_can_be_the_service_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (tmp_path / "none" / "control", tmp_path / ("long" * 50)):
        caplog.clear()
        loop = Loop(path)
        loop.close()
        (record,) = caplog.records
        assert "`serenbox pause`, `resume` and `status` will not work" in record.getMessage()


def test_what_cannot_be_opened_is_tried_again_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run" / "control"
    with selectors.DefaultSelector() as selector:
        server = ControlServer(path, selector, answer)
        server.open()
        server.renew()
        assert len(caplog.records) == 1
        path.parent.mkdir()
        server.renew()
        assert path.is_socket()
        server.renew()
        assert len(selector.get_map()) == 1
        server.close()


def connected(path: Path, clients: ExitStack) -> socket.socket:
    client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    client.settimeout(30)
    client.connect(str(path))
    return client


@pytest.mark.usefixtures("loop")
def test_one_client_too_many_displaces_the_one_that_waited_longest(path: Path) -> None:
    with ExitStack() as clients:
        oldest, *others = (connected(path, clients) for _ in range(9))
        assert oldest.recv(100) == b""
        for client in others:
            client.send(b"status")
            assert json.loads(client.recv(65536))["state"] == "sensing"


def test_whoever_still_waits_is_told_of_the_end(path: Path) -> None:
    loop = Loop(path)
    with ExitStack() as clients:
        silent = connected(path, clients)
        assert ask_service("status", [path])["state"] == "sensing"  # so the first is accepted
        loop.close()
        assert silent.recv(100) == b""


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("request_", [b"status\n", b"\xff\xfe"])
def test_a_request_may_come_from_any_program(path: Path, request_: bytes) -> None:
    with ExitStack() as clients:
        client = connected(path, clients)
        client.send(request_)
        assert set(json.loads(client.recv(65536))) & {"state", "error"}
    assert ask_service("status", [path])["state"] == "sensing"


def test_a_full_queue_is_waited_for(path: Path) -> None:
    answers: list[dict[str, Any]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, ExitStack() as clients:
        listener.bind(str(path))
        listener.listen(1)
        for _ in range(2):
            connected(path, clients)
        refused = threading.Event()
        original = socket.socket.connect

        def connect(self: socket.socket, address: str) -> None:
            try:
                original(self, address)
            except BlockingIOError:
                refused.set()
                raise

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", connect)
            asking = threading.Thread(
                target=lambda: answers.append(ask_service("status", [path], timeout=60))
            )
            asking.start()
            assert refused.wait(30)
            for _ in range(3):
                client = clients.enter_context(listener.accept()[0])
            assert client.recv(100) == b"status"
            client.send(b'{"state": "sensing"}')
            asking.join()
    assert answers == [{"state": "sensing"}]


def test_a_file_in_place_of_the_folder_is_no_service(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoServiceError):
        ask_service("status", [tmp_path / "file" / "control"])


WITHOUT_FILES = """
import resource, selectors, socket, sys, time
from pathlib import Path
from serenbox.daemon.control import ControlServer

path, finish = Path(sys.argv[1]), sys.argv[2] == "finish"
selector = selectors.DefaultSelector()
server = ControlServer(path, selector, lambda request: {"state": "sensing"})
server.open()
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect(str(path))
client.send(b"status")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
begin = time.monotonic()
for _ in range(3):
    ((key, _),) = selector.select()
    key.data()
assert time.monotonic() - begin > 0.9, "it does not rest"
if finish:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for _ in range(2):  # accept, answer
        ((key, _),) = selector.select()
        key.data()
    assert client.recv(100) == b'{"state": "sensing"}'
server.close()
assert not selector.get_map()
"""


WITHOUT_A_FILE = """
import resource, selectors, sys
from pathlib import Path
from serenbox.daemon.control import ControlServer

path = Path(sys.argv[1])
selector = selectors.DefaultSelector()
server = ControlServer(path, selector, lambda request: {"state": "sensing"})
server.open()
path.unlink()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
server.renew()
assert not selector.get_map()
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
server.renew()
assert path.is_socket()
assert len(selector.get_map()) == 1
server.close()
"""


def test_while_files_run_out_the_socket_cannot_be_renewed_and_the_service_goes_on(
    path: Path,
) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_A_FILE, str(path)], check=True, timeout=60)


@pytest.mark.parametrize("then", ["finish", "close"])
def test_while_files_run_out_it_rests_and_then_serves_who_waited(path: Path, then: str) -> None:
    """In a process of its own, where nothing else needs a file."""
    subprocess.run([sys.executable, "-c", WITHOUT_FILES, str(path), then], check=True, timeout=60)

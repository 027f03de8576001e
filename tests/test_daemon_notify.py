from __future__ import annotations

import os
import socket
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def test_states_are_sent(systemd: socket.socket) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname()})) as notifier:
        notifier.ready()
        notifier.alive()
        notifier.stopping()
        before = time.monotonic_ns() // 1000
        notifier.reloading()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
        reloading, _, since = systemd.recv(100).decode().partition("\nMONOTONIC_USEC=")
        assert reloading == "RELOADING=1"
        assert before <= int(since) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line_and_sent_once(systemd: socket.socket) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname()})) as notifier:
        notifier.status("happy\nbirthday")
        notifier.status("happy\nbirthday")
        notifier.status("sad")
        assert systemd.recv(100) == b"STATUS=happy birthday"
        assert systemd.recv(100) == b"STATUS=sad"


def test_a_status_may_name_a_file_that_is_not_utf8(systemd: socket.socket) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname()})) as notifier:
        notifier.status(f"Sensing with pictures in {os.fsdecode(b'caf' + bytes([0xE9]))}")
        assert systemd.recv(100) == rb"STATUS=Sensing with pictures in caf\udce9"


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0serenbox-test-{os.getpid()}")
        listener.settimeout(5)
        with closing(Notifier({"NOTIFY_SOCKET": f"@serenbox-test-{os.getpid()}"})) as notifier:
            notifier.ready()
        assert listener.recv(100) == b"READY=1"


def test_nobody_listens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "none")}, {"NOTIFY_SOCKET": "tcp"}):
        with closing(Notifier(environment)) as notifier:
            notifier.ready()
            notifier.status("fine")
            assert notifier.watchdog_interval is None


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_twice_as_often_as_the_watchdog_looks(
    environment: dict[str, str], interval: float | None
) -> None:
    assert Notifier(environment).watchdog_interval == interval


def test_a_full_socket_holds_up_nobody(systemd: socket.socket) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname()})) as notifier:
        for _ in range(100_000):  # far more than any queue holds: would block for ever
            notifier.alive()
        assert systemd.recv(100) == b"WATCHDOG=1"


def fill(systemd: socket.socket) -> int:
    """Fill the queue of a systemd that is busy; return how many messages it holds."""
    count = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"X=1", systemd.getsockname())
            count += 1
    return count


def empty(systemd: socket.socket, count: int) -> None:
    assert {systemd.recv(100) for _ in range(count)} == {b"X=1"}


@pytest.mark.parametrize("sign", ["alive", "status"])
def test_what_found_no_room_is_sent_with_the_next_sign_of_life(
    systemd: socket.socket, sign: str
) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname()})) as notifier:
        count = fill(systemd)
        notifier.ready()
        notifier.status("opening")
        notifier.status("sensing")
        empty(systemd, count)
        if sign == "alive":
            notifier.alive()
        else:
            notifier.status("sensing")  # unchanged, as in most turns of the loop
        assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"STATUS=sensing"]
        notifier.stopping()
        assert systemd.recv(100) == (b"WATCHDOG=1" if sign == "alive" else b"STOPPING=1")


def test_the_end_of_a_reload_never_overtakes_its_begin(systemd: socket.socket) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname()})) as notifier:
        count = fill(systemd)
        for _ in range(2):
            notifier.reloading()
            notifier.ready()
        latest = time.monotonic_ns() // 1000
        notifier.reloading()
        notifier.ready()
        empty(systemd, count)
        notifier.alive()
        reloading, _, since = systemd.recv(100).decode().partition("\nMONOTONIC_USEC=")
        assert reloading == "RELOADING=1"
        assert int(since) >= latest
        assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]

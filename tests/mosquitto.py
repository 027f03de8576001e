"""A real Mosquitto for tests: on a free port of the loopback, started and stopped at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.missing import missing
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 30.0
"""Seconds within which something must happen; a busy machine takes long."""


def wait_for(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return as soon as the condition holds; fail if that takes longer than `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.01)


def required_program(name: str) -> str:
    """Return the path of a program: one of Mosquitto's, openssl or strace.

    If it is missing, the test is skipped, or fails if SERENBOX_REQUIRE_ALL is 1.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        package = "mosquitto-clients" if name in {"mosquitto_sub", "mosquitto_pub"} else "mosquitto"
        package = name if name in {"openssl", "strace"} else package
        missing(f"{name}, which this test needs, is not installed: apt install {package}")
    return path


@dataclass(frozen=True)
class Certificates:
    """A self-signed certificate for `localhost`, in PEM files."""

    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make a certificate for `localhost` and no other name."""
    made = Certificates(folder / "broker.crt", folder / "broker.key")
    subprocess.run(
        [
            *(required_program("openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(made.key), "-out", str(made.certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return made


class Mosquitto:
    """A broker with a configuration of its own.

    Args:
        folder: Holds its configuration, log and database.
        users: Passwords by user name; None lets everybody in.
        tls: What to encrypt with; None for plain TCP.
        access: Lines of an access list; None allows everything.
        persistence: Whether it keeps retained messages over a restart.

    """

    def __init__(
        self,
        folder: Path,
        *,
        users: dict[str, str] | None = None,
        tls: Certificates | None = None,
        access: list[str] | None = None,
        persistence: bool = False,
    ) -> None:
        self._program = required_program("mosquitto")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "user root",  # as root it would otherwise become a user who cannot write to the folder
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {folder}/",
            f"allow_anonymous {'true' if users is None else 'false'}",
            "log_type all",
            "set_tcp_nodelay true",
            # No limits, so that no message of a burst is lost here: one that waits because a
            # listener is slow to confirm is lost when the broker stops.
            "max_queued_messages 0",
            "max_inflight_messages 0",
        ]
        if users is not None:
            lines.append(f"password_file {self._write_passwords(users)}")
        if tls is not None:
            lines += [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
        if access is not None:
            (folder / "access").write_text("\n".join(access) + "\n")
            lines.append(f"acl_file {folder / 'access'}")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int:
        """The process ID; the broker must be running."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._configuration), "-v"],
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, f"Mosquitto to start; see {self.log}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it has ended; do nothing if it does not run."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, how)
            os.kill(self._process.pid, signal.SIGCONT)  # a frozen process would never end
        self._process.wait(PATIENCE)
        self._process = None

    def restart(self) -> None:
        """Stop and start it on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Make it silent: the system still accepts connections for it, but nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _write_passwords(self, users: dict[str, str]) -> Path:
        file = self._folder / "passwords"
        file.touch(mode=0o600)
        tool = required_program("mosquitto_passwd")
        for user, password in users.items():
            subprocess.run([tool, "-b", str(file), user, password], check=True, capture_output=True)
        return file

    def _answers(self) -> bool:
        """Return whether it has refused bytes that are not MQTT.

        That it accepts connections is not enough: the system does so for it, and a signal to end
        that comes before its main loop is lost.
        """
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(bytes(16))  # neither MQTT nor TLS begins like this
                connection.recv(1)  # returns when it closes; with TLS, it first says why
        except ConnectionResetError:
            return True  # it closes with some of the bytes unread
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running_mosquitto(
    folder: Path,
    *,
    users: dict[str, str] | None = None,
    tls: Certificates | None = None,
    access: list[str] | None = None,
    persistence: bool = False,
) -> Iterator[Mosquitto]:
    """Run a broker; the arguments are those of `Mosquitto`."""
    broker = Mosquitto(folder, users=users, tls=tls, access=access, persistence=persistence)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@dataclass(frozen=True)
class Received:
    """A message as a subscriber gets it."""

    topic: str
    payload: bytes
    retained: bool
    qos: int

    @property
    def text(self) -> str:
        """The payload."""
        return self.payload.decode()


class Listener:
    """A client that keeps every message it gets, and publishes; it reconnects by itself."""

    def __init__(
        self, broker: Mosquitto, user: str = "", password: str = "", topic: str = "#"
    ) -> None:
        self.received: list[Received] = []
        self.subscribed = threading.Event()
        self._topic = topic
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, 1) and None
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = lambda _client, _data, message: self.received.append(
            Received(message.topic, bytes(message.payload), message.retain, message.qos)
        )
        self._client.connect_async("127.0.0.1", broker.port)
        self._client.loop_start()
        wait_for(self.subscribed.is_set, "the listener's subscription")

    def of(self, topic: str) -> list[Received]:
        """Return the messages whose topic is this one or ends with it."""
        return [message for message in list(self.received) if message.topic.endswith(topic)]

    def wait(self, topic: str, count: int = 1) -> list[Received]:
        """Wait for this many messages under a topic, and return all of them."""
        wait_for(lambda: len(self.of(topic)) >= count, f"{count} messages under {topic}")
        return self.of(topic)

    def publish(
        self, topic: str, payload: bytes | str, *, retain: bool = False, qos: int = 1
    ) -> None:
        """Publish and wait until the broker has it."""
        self._client.publish(topic, payload, qos, retain).wait_for_publish(PATIENCE)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def listening(
    broker: Mosquitto, user: str = "", password: str = "", topic: str = "#"
) -> Iterator[Listener]:
    """Listen to a broker; the arguments are those of `Listener`."""
    listener = Listener(broker, user, password, topic)
    try:
        yield listener
    finally:
        listener.close()

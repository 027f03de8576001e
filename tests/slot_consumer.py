"""The example diffuser: its decisions compiled for this machine, and connected to a real broker."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "diffuser"
HARNESS = ROOT / "tests" / "diffuser"
STRICT = ("-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


def compiler() -> str:
    """Return g++; if missing, skip the test, or fail it if SERENBOX_REQUIRE_ALL is 1."""
    path = shutil.which("g++")
    if path is None:
        missing("g++, which compiles the example diffuser, is not installed: apt install g++")
    return path


def compile_follower(folder: Path) -> Path:
    """Compile the decisions of the example; return the program."""
    program = folder / "follower"
    sources = [HARNESS / "main.cpp", EXAMPLE / "slot_follower.cpp"]
    compile_cpp(f"-I{EXAMPLE}", *map(str, sources), "-o", str(program))
    return program


def compile_cpp(*arguments: str) -> None:
    """Compile with strict warnings, each of which is an error."""
    result = subprocess.run(
        [compiler(), *STRICT, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


class Follower:
    """The example's decisions, in a process of their own."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, milliseconds: int, what: str, word: str = "") -> str:
        """Make one call, as `tests/diffuser/main.cpp` reads it; return the slot afterwards."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{milliseconds} {what} {word}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Consumer:
    """A diffuser at a broker: the example's decisions, with paho-mqtt in place of PubSubClient.

    Args:
        program: The compiled decisions.
        port: The broker's, on the loopback.
        own: The prefix of the box's topics.
        hurry: How many times faster than the real clock its clock runs.

    """

    def __init__(
        self, program: Path, port: int, own: str = "serenbox/serenbox", hurry: float = 1.0
    ) -> None:
        self.changes: list[tuple[float, str]] = [(time.monotonic(), "off")]
        """When, in seconds of `time.monotonic`, and to which slot it has changed so far."""
        self.heard: list[tuple[str, str]] = []
        self._hurry = hurry
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._follower = Follower(program)
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        topics = [(f"{own}/slot", 1), (f"{own}/availability", 1)]
        self._client.on_connect = lambda client, *_: client.subscribe(topics) and None
        self._client.on_message = lambda _client, _data, message: self._receive(message)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    @property
    def slot(self) -> str:
        """The slot that is on."""
        return self.changes[-1][1]

    @property
    def slots(self) -> list[str]:
        """Every slot that has been on, in order."""
        return [slot for _, slot in self.changes]

    def close(self) -> None:
        """Stop it."""
        self._client.disconnect()
        self._client.loop_stop()
        self._over.set()
        self._thread.join()
        self._follower.close()

    def _receive(self, message: paho.MQTTMessage) -> None:
        kind, text = message.topic.rpartition("/")[2], message.payload.decode()
        self.heard.append((kind, text))
        self._tell(kind, text)

    def _loop(self) -> None:
        while not self._over.wait(0.01):
            self._tell("connected", str(int(self._client.is_connected())))

    def _tell(self, what: str, word: str) -> None:
        with self._lock:
            now = time.monotonic()
            slot = self._follower.tell(int((now - self._began) * self._hurry * 1000), what, word)
            if slot != self.slot:
                self.changes.append((now, slot))


@contextlib.contextmanager
def consuming(
    program: Path, port: int, own: str = "serenbox/serenbox", hurry: float = 1.0
) -> Iterator[Consumer]:
    """Run a diffuser; the arguments are those of `Consumer`."""
    consumer = Consumer(program, port, own, hurry)
    try:
        yield consumer
    finally:
        consumer.close()

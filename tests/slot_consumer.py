"""The example diffuser, compiled for this machine, and what a real broker makes of it."""

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
    """Return g++; skip the test where it is missing, or fail where SERENBOX_REQUIRE_ALL is 1."""
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
    """Compile as strictly as there is."""
    result = subprocess.run(
        [compiler(), *STRICT, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


class Follower:
    """The decisions of the example in a process of its own."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, milliseconds: int, what: str, word: str = "") -> str:
        """Tell something, as `tests/diffuser/main.cpp` takes it; return the slot after it."""
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
    """A diffuser at a broker: the example's decisions, with paho-mqtt in PubSubClient's place.

    Args:
        program: The compiled decisions.
        port: The broker's, on the loopback.
        own: What the topics of the box begin with.
        hurry: By how much faster its clock goes than the real one.

    """

    def __init__(
        self, program: Path, port: int, own: str = "serenbox/serenbox", hurry: float = 1.0
    ) -> None:
        self.changes: list[tuple[float, str]] = [(time.monotonic(), "off")]
        """When it turned what on, since the beginning; seconds of `time.monotonic`."""
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
        """What is on."""
        return self.changes[-1][1]

    @property
    def slots(self) -> list[str]:
        """Everything that was on in turn."""
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

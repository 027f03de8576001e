"""How long an event takes from the service to a subscriber, over a Mosquitto on this box."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import shutil
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from serenbox.errors import ServiceError
from serenbox.outputs.messages import event_message, mood_message
from serenbox.settings.schema import MqttSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from serenbox.outputs.base import Output

_PATIENCE = 10.0
_PAUSE = 0.005
"""Seconds between two events: they come one by one, never in bursts."""


def find_mosquitto() -> str | None:
    """Return the broker's program, also from folders that may be only in the PATH of root."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def running_mosquitto(program: str, folder: Path) -> Iterator[int]:
    """Run a separate broker on a free port of the loopback; yield the port.

    Raises:
        ServiceError: It does not start.

    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen(  # noqa: S603 - its path was looked up
        [program, "-c", str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_open(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def measure(port: int, events: int) -> list[float]:
    """Return the seconds from handing an event to the MQTT output until a subscriber has it.

    Args:
        port: Of a broker on the loopback.
        events: How many, one by one.

    Raises:
        ServiceError: An event does not arrive, or the broker takes no subscription.

    """
    from serenbox.outputs.mqtt import MqttOutput

    mqtt = MqttSettings(enabled=True, host="127.0.0.1", port=port, discovery=False)
    settings = dataclasses.replace(Settings(), mqtt=mqtt)
    output = MqttOutput(settings, lambda _: None, version="bench")
    with _Subscriber(port, f"{mqtt.prefix}/#") as subscriber:
        output.start()
        try:
            subscriber.wait()  # the output says that it is online
            return [_send(output, subscriber) for _ in range(events)]
        finally:
            output.close(_PATIENCE)


def _send(output: Output, subscriber: _Subscriber) -> float:
    """Send one event and return the seconds until it arrives."""
    time.sleep(_PAUSE)
    message = event_message(mood_message("bench", time.time(), "paused", None, 0.0), "no_camera")
    began = time.monotonic()
    output.event(message)
    return subscriber.wait() - began


class _Subscriber:
    """Notes when messages arrive, in its own thread. A context manager."""

    def __init__(self, port: int, topic: str) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self._came: queue.SimpleQueue[float] = queue.SimpleQueue()
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda *_: self._came.put(time.monotonic())
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(topic, 1)
        self._client.loop_start()
        if not subscribed.wait(_PATIENCE):
            raise ServiceError(
                "Mosquitto accepted no subscription: see whether its port is blocked"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self) -> float:
        """Wait for the next message; return when it arrived, on the clock of `time.monotonic`."""
        try:
            return self._came.get(timeout=_PATIENCE)
        except queue.Empty:
            raise ServiceError(
                f"an event did not come back from Mosquitto within {_PATIENCE:g} s"
            ) from None


def _wait_until_open(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise ServiceError("Mosquitto does not start: run `mosquitto -v` to see why")

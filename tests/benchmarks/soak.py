"""Let the service run for a million frames while its camera and its broker fail again and again.

A scripted camera shows a face, nobody, darkness and garbage as fast as it can, dies and comes back;
Mosquitto is restarted every 50,000 frames. Afterwards:

- the service ends well, and its log shows nothing unexpected;
- its memory has not grown by more than 1 MB per 100,000 frames;
- every change of mood while it was connected reached a subscriber exactly once and in order, and
  it counted every change that did not.

Run it with `python -m tests.benchmarks.soak --frames 1000000`.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from serenbox.bench.clip import drawn_face, empty_frames, face_frames
from serenbox.daemon.control import ask_service
from serenbox.outputs.mqtt_session import WINDOW
from tests.daemon_process import Daemon, wait_for, write_script
from tests.mosquitto import Listener, Mosquitto, Received, running_mosquitto

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_GROWTH = 1.0
"""MB per 100,000 frames."""

SETTLED = 5000
"""Frames after which memory counts: by then the service has met everything once."""

CONFIGURATION = """
[camera]
fps = 10
real_time = false
timeout = 0.2
misses = 3
reopens = 5
reopen_pause = 0.05

[mqtt]
enabled = true
host = "127.0.0.1"
port = {port}

[service]
stats_interval = 10
"""

CYCLE: tuple[dict[str, object], ...] = (
    {"frames": "face.png", "count": 120},
    {"frames": "empty.png", "count": 60},
    {"frames": "face.png", "count": 150},
    {"garbage": 2},
    {"frames": "face.png", "count": 100},
    {"black": 40},
    {"frames": "face.png", "count": 100},
    {"garbage": 5},
    {"frames": "empty.png", "count": 200},
    {"error": "unplugged"},
    {"frames": "face.png", "count": 500},
    {"open_error": "not there", "count": 2},
    {"frames": "face.png", "count": 700},
    {"stall": 0.9},
)
"""About two thousand frames, and every way in which a camera fails."""


@dataclass
class Outcome:
    """The outcome of a run."""

    frames: int = 0
    seconds: float = 0.0
    restarts: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    """All changes, from standard output."""
    epochs: list[list[dict[str, Any]]] = field(default_factory=list)
    """The changes that came over MQTT, by connection of the service."""
    dropped: int = 0
    """Changes that the service says it could not publish."""
    memory: list[tuple[int, float]] = field(default_factory=list)
    """Frames and MB."""
    warnings: list[str] = field(default_factory=list)
    code: int = -1

    @property
    def growth(self) -> float:
        """MB per 100,000 frames, once settled."""
        points = [point for point in self.memory if point[0] >= SETTLED]
        if not points or points[0][0] == points[-1][0]:
            return 0.0
        return 1e5 * statistics.linear_regression(*zip(*points, strict=True)).slope

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is not as it must be."""
        found = [line for line in self.warnings if _unexpected(line)]
        if self.code:
            found.append(f"the service ended with exit code {self.code}")
        return found + delivery_problems(self.events, self.epochs, self.dropped, self.restarts)


def delivery_problems(
    events: Sequence[dict[str, Any]],
    epochs: Sequence[Sequence[dict[str, Any]]],
    dropped: int,
    restarts: int,
) -> list[str]:
    """Return what is wrong with the delivery of events.

    Args:
        events: All, in order.
        epochs: Those that came, by connection.
        dropped: Those that the service counted as lost.
        restarts: Of the broker; at each, up to a window of messages may come yet count as lost.

    """
    number = {_key(event): n for n, event in enumerate(events)}
    if len(number) < len(events):
        return ["two events on standard output are the same"]
    problems, latest, came = [], -1, 0
    for n, epoch in enumerate(epochs, 1):
        places = [number.get(_key(event), -2) for event in epoch]
        came += len(places)
        if -2 in places:
            problems.append(f"connection {n}: an event came that standard output did not get")
        if places and places != list(range(places[0], places[0] + len(places))):
            problems.append(f"connection {n}: an event is missing, came twice or out of order")
        if places and places[0] <= latest:
            problems.append(f"connection {n}: an event came that came in an earlier one")
        latest = max([latest, *places])
    missing = len(events) - came
    if not missing <= dropped <= missing + restarts * WINDOW:
        problems.append(f"{missing} events did not come, and {dropped} were counted as lost")
    return problems


def split_epochs(received: Sequence[Received]) -> list[list[dict[str, Any]]]:
    """Return the events that came, by connection: the service begins each with `online`."""
    epochs: list[list[dict[str, Any]]] = []
    for message in received:
        if message.topic.endswith("/availability") and message.payload == b"online":
            epochs.append([])
        elif message.topic.endswith("/event") and epochs:
            epochs[-1].append(json.loads(message.payload))
    return epochs


def _key(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True)


def _unexpected(line: str) -> bool:
    return any(word in line for word in ("Traceback", "unexpected", "mistake", " error "))


class Soak:
    """One run.

    Args:
        folder: Holds everything.
        frames: How many to run for.
        restart_every: Frames between two restarts of the broker.
        talk: Whether to print the progress.

    """

    def __init__(
        self, folder: Path, frames: int, restart_every: int, *, talk: bool = False
    ) -> None:
        self._folder = folder
        self._frames = frames
        self._restart_every = restart_every
        self._talk = talk
        self._received: list[Received] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Run until that many frames have been looked at."""
        cv2.imwrite(str(self._folder / "face.png"), next(face_frames(drawn_face())))
        cv2.imwrite(str(self._folder / "empty.png"), next(empty_frames()))
        camera = write_script(self._folder / "script.json", CYCLE, loop=True)
        (self._folder / "broker").mkdir()
        outcome, began = self.outcome, time.monotonic()
        with running_mosquitto(self._folder / "broker") as broker:
            listener = Listener(broker)
            configuration = CONFIGURATION.format(port=broker.port)
            with Daemon(self._folder, camera, configuration=configuration) as daemon:
                listener = self._watch(daemon, broker, listener)
                outcome.code = daemon.end()
            wait_for(
                lambda: [one.text for one in listener.of("/availability")][-1:] == ["offline"],
                "offline",
            )
            broker.stop()
            self._leave(listener)
        outcome.seconds = time.monotonic() - began
        outcome.events = [message for message in daemon.messages if "event" in message]
        outcome.epochs = split_epochs(self._received)
        outcome.warnings = daemon.warnings()
        return outcome

    def _watch(self, daemon: Daemon, broker: Mosquitto, listener: Listener) -> Listener:
        """Restart the broker now and then; return the last listener."""
        outcome, restart_at = self.outcome, self._restart_every
        daemon.wait_until((self._folder / "run" / "control").exists, "the control socket")
        connected = False
        # At the end it must be connected: only then is what it lost before counted.
        while outcome.frames < self._frames or not connected:
            time.sleep(_INTERVAL)
            assert daemon.running, daemon.log[-3:]
            connected = self._look()
            if connected and restart_at <= outcome.frames < self._frames:
                restart_at += self._restart_every
                listener, connected = self._restart(daemon, broker, listener), False
                if self._talk:
                    print(self._progress(), flush=True)
        return listener

    def _look(self) -> bool:
        """Record the service's status; return whether it is connected."""
        status = ask_service("status", [self._folder / "run" / "control"])
        self.outcome.frames = status["frames"]
        self.outcome.memory.append((status["frames"], status["memory_mb"]))
        self.outcome.dropped = status["outputs"]["mqtt"]["dropped"]
        return bool(status["outputs"]["mqtt"]["connected"])

    def _restart(self, daemon: Daemon, broker: Mosquitto, listener: Listener) -> Listener:
        """Restart the broker; the service comes back to it when somebody listens again."""
        self.outcome.restarts += 1
        broker.stop()  # what it had accepted has reached the listener's socket
        self._leave(listener)
        wait_for(lambda: not self._look(), "the service to notice that the broker has gone")
        # What it published before somebody listened would be missing without its knowing.
        daemon.send(signal.SIGSTOP)
        try:
            broker.start()
            return Listener(broker)
        finally:
            daemon.send(signal.SIGCONT)

    def _leave(self, listener: Listener) -> None:
        """Take what the listener has got, once it has noticed that the broker has gone."""
        wait_for(lambda: not listener.subscribed.is_set(), "the end of the connection")
        listener.close()
        self._received += listener.received

    def _progress(self) -> str:
        outcome = self.outcome
        return (
            f"{outcome.frames} frames, {outcome.restarts} restarts, {outcome.dropped} changes "
            f"dropped, {outcome.memory[-1][1]:.1f} MB"
        )


_INTERVAL = 0.25


def summary(outcome: Outcome) -> str:
    """Return the outcome as lines for a person."""
    came = sum(map(len, outcome.epochs))
    speed = outcome.frames / outcome.seconds
    first, last = outcome.memory[0][1], outcome.memory[-1][1]
    ran = f"{outcome.frames} frames in {outcome.seconds:.0f} s ({speed:.0f} per second)"
    told = f"{len(outcome.events)} changes of mood, {came} came, {outcome.dropped} counted as lost"
    over = f"{outcome.restarts} restarts of the broker, {len(outcome.epochs)} connections"
    growth = f"{outcome.growth:.2f} MB per 100,000 frames (at most {MOST_GROWTH})"
    memory = f"memory {first:.1f} MB at first, {last:.1f} MB at last, growth {growth}"
    return "\n".join((ran, over, told, memory, *(outcome.problems() or ["nothing unexpected"])))


def main() -> int:
    """Soak; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000, help="default: 1000000")
    parser.add_argument("--restart-every", type=int, default=50_000, help="default: 50000")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serenbox-soak-") as folder:
        outcome = Soak(Path(folder), args.frames, args.restart_every, talk=True).run()
    print(summary(outcome))
    return 1 if outcome.problems() or outcome.growth > MOST_GROWTH else 0


if __name__ == "__main__":
    raise SystemExit(main())

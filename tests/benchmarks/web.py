"""What visitors of the web page cost the service: latency, frames per second and memory.

Run: `python -m tests.benchmarks.web PORTRAIT`, where PORTRAIT is a photograph of a face. No
visitors, fifty viewers, two who watch the camera live, and visitors who do their worst take turns
at one running service, so that whatever else the machine does affects them all. Five rounds take
four minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import selectors
import shutil
import socket
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenbox.daemon.control import ask_service
from tests.daemon_process import QUICK, Daemon, wait_for, write_script
from tests.ports import free_port
from tests.web_client import Sluggards, Spectator, Viewer, answers, nonsense, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VIEWERS = 50
FPS = 60
SETTLING = 9.5
"""Seconds until the service's latencies, of the last 512 frames, are all of the same visit."""

MOST_TIMES = 1.1
MOST_MEMORY = 20.0
"""What fifty viewers may cost: how many times the median latency, and MB."""


@dataclass(frozen=True)
class Cost:
    """How the service did with certain visitors."""

    p50_ms: float
    fps: float
    memory_mb: float


@contextlib.contextmanager
def nobody(port: int) -> Iterator[None]:
    """Leave the page alone."""
    del port
    yield


@contextlib.contextmanager
def viewers(port: int) -> Iterator[None]:
    """Open fifty streams of events and read them."""
    request = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(VIEWERS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            sock.sendall(request)
            selector.register(sock, selectors.EVENT_READ)

        def read() -> None:
            for key, _ in selector.select(0.1):
                key.fileobj.recv(65536)  # type: ignore[union-attr]

        with repeating(read):
            yield


@contextlib.contextmanager
def spectators(port: int) -> Iterator[None]:
    """Watch the camera live with two clients."""
    with Spectator(port) as one, Spectator(port) as other:
        assert (one.status(), other.status()) == (200, 200)
        with repeating(lambda: (one.picture(), other.picture())):
            yield


@contextlib.contextmanager
def troublemakers(port: int) -> Iterator[None]:
    """Open 200 streams unread, send slowly from 100 clients, and send nonsense all the time."""
    chance = random.Random(5)  # noqa: S311
    said = 0

    def talk() -> None:
        nonlocal said
        say(port, nonsense(chance))
        said += 1

    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Viewer(port))
        stack.enter_context(Sluggards(port, 100))
        stack.enter_context(repeating(talk))
        yield
    print(f"  {said} nonsensical requests", flush=True)


@contextlib.contextmanager
def repeating(action: Callable[[], object]) -> Iterator[None]:
    """Do something again and again, in a thread."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


VISITS: dict[str, Callable[[int], contextlib.AbstractContextManager[None]]] = {
    "nobody": nobody,
    f"{VIEWERS} viewers": viewers,
    "live preview": spectators,
    "troublemakers": troublemakers,
}


def measure(daemon: Daemon, port: int, visit: str) -> Cost:
    """Return how the service does while somebody is there."""

    def status() -> dict[str, Any]:
        return ask_service("status", [daemon.folder / "run" / "control"])

    with VISITS[visit](port):
        before, began = status(), time.monotonic()
        time.sleep(SETTLING)
        after, seconds = status(), time.monotonic() - began
    wait_for(lambda: not status()["outputs"]["web"]["streams"], "the viewers to have left")
    return Cost(
        after["latency_ms"]["total"]["p50"],
        (after["frames"] - before["frames"]) / seconds,
        after["memory_mb"],
    )


def main() -> int:
    """Print a line per visit, then the costs; return 1 if fifty viewers cost too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portrait", metavar="PORTRAIT", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="serenbox-bench-"))
    shutil.copy(args.portrait, folder / "face.png")
    steps = [{"frames": "face.png", "count": 10_000_000}]
    camera = write_script(folder / "script.json", steps, fps=FPS)
    port = free_port()
    settings = QUICK.replace("fps = 20", f"fps = {FPS}") + f"[web]\nenabled = true\nport = {port}\n"
    costs: dict[str, list[Cost]] = {visit: [] for visit in VISITS}
    with Daemon(folder, camera, configuration=settings) as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        time.sleep(SETTLING)
        for _ in range(args.rounds):
            for visit, found in costs.items():
                found.append(measure(daemon, port, visit))
                cost = found[-1]
                print(
                    f"{visit:<14} p50 {cost.p50_ms:6.2f} ms, {cost.fps:4.1f} frames/s, "
                    f"{cost.memory_mb:5.1f} MB",
                    flush=True,
                )
        daemon.end()
    shutil.rmtree(folder)
    return compare(costs)


def compare(costs: dict[str, list[Cost]]) -> int:
    """Print what each kind of visitor costs; return 1 if the viewers cost too much."""
    print()
    for visit, found in costs.items():
        pairs = list(zip(costs["nobody"], found, strict=True))
        times = statistics.median(with_.p50_ms / without.p50_ms for without, with_ in pairs)
        growth = max(with_.memory_mb - without.memory_mb for without, with_ in pairs)
        pace = statistics.median(cost.fps for cost in found)
        print(f"{visit:<14} {times:.3f} times the latency, {growth:+.1f} MB, {pace:.1f} frames/s")
        if visit.endswith("viewers") and (times > MOST_TIMES or growth > MOST_MEMORY):
            print(f"that is more than {MOST_TIMES} times or {MOST_MEMORY} MB")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What viewers of the web page cost the service: latency and memory with none and with fifty.

Run: `python -m tests.benchmarks.web PORTRAIT`. The two alternate in one service, so that whatever
else the machine does meets both.
"""

from __future__ import annotations

import contextlib
import selectors
import shutil
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.daemon.control import ask_service
from tests.daemon_process import QUICK, Daemon, wait_for, write_script
from tests.mosquitto import free_port
from tests.web_client import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

VIEWERS = 50
ROUNDS = 3
FPS = 30
SETTLING = 18.0
"""Seconds after which the service's latencies, of 512 frames, are all of the same kind."""


@contextlib.contextmanager
def viewers(port: int, count: int) -> Iterator[selectors.BaseSelector]:
    """Open so many streams of events."""
    request = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            sock.sendall(request)
            selector.register(sock, selectors.EVENT_READ)
        yield selector


def measure(daemon: Daemon, port: int, count: int) -> tuple[float, float, int]:
    """Return the median latency in milliseconds, the memory in MB, and the events a viewer got."""
    heard = 0
    with viewers(port, count) as selector:
        end = time.monotonic() + SETTLING
        while (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                heard += key.fileobj.recv(65536).count(b"event: mood")  # type: ignore[union-attr]
        status = ask_service("status", [daemon.folder / "run" / "control"])
    wait_for(
        lambda: (
            not ask_service("status", [daemon.folder / "run" / "control"])["outputs"]["web"][
                "streams"
            ]
        ),
        "the viewers to have left",
    )
    return status["latency_ms"]["total"]["p50"], status["memory_mb"], heard // max(1, count)


def main() -> None:
    """Print a line per round, and the medians."""
    folder = Path(tempfile.mkdtemp(prefix="serenbox-bench-"))
    shutil.copy(sys.argv[1], folder / "face.png")
    steps = [{"frames": "face.png", "count": 10_000_000}]
    camera = write_script(folder / "script.json", steps, fps=FPS)
    port = free_port()
    settings = QUICK.replace("fps = 20", f"fps = {FPS}") + f"[web]\nenabled = true\nport = {port}\n"
    ratios, growths = [], []
    with Daemon(folder, camera, configuration=settings) as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        time.sleep(SETTLING)
        for _ in range(ROUNDS):
            none, fifty = measure(daemon, port, 0), measure(daemon, port, VIEWERS)
            ratios.append(fifty[0] / none[0])
            growths.append(fifty[1] - none[1])
            print(
                f"p50 {none[0]:.2f} ms without, {fifty[0]:.2f} ms with {VIEWERS} viewers "
                f"({fifty[2]} moods each): {ratios[-1]:.3f} times; memory {none[1]:.1f} and "
                f"{fifty[1]:.1f} MB",
                flush=True,
            )
        daemon.end()
    print(
        f"median {statistics.median(ratios):.3f} times the latency, "
        f"{max(growths):.1f} MB more memory at most"
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

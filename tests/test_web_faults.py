"""The real service while visitors of its page do their worst: it still senses and serves others."""

from __future__ import annotations

import contextlib
import random
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.daemon.control import ask_service
from serenbox.web.preview import VIEWERS
from tests.daemon_process import QUICK, Daemon, write_script
from tests.ports import free_port
from tests.web_client import Sluggards, Spectator, Viewer, answers, ask, ask_json, nonsense, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAMS = 200
REQUESTS = 10_000
SLOW = 100

LEAST = 1.0
"""The fewest frames per second, of ten, on a machine that is busy with all these visitors."""

MOST_GROWTH = 20.0
"""Of the service's memory, MB."""


class Box:
    """A service with a page, whose camera shows a face at ten frames a second."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.port = port

    def status(self) -> dict[str, Any]:
        return ask_service("status", [self.daemon.folder / "run" / "control"])

    def serves(self) -> bool:
        """Return whether a visitor gets an answer: it may be dismissed for a newer visitor."""
        with contextlib.suppress(ConnectionError):
            return bool(ask_json(self.port, "/api/mood")["mood"] == "happy")
        return False

    def open_files(self) -> int:
        """Return how many files the service says it has open; 0 if the visitor is dismissed."""
        with contextlib.suppress(ConnectionError):
            found = re.search(
                r"^process_open_fds (\d+)", ask(self.port, "/metrics")[1], re.MULTILINE
            )
            return int(found[1]) if found else 0
        return 0

    @contextlib.contextmanager
    def senses_on(self) -> Iterator[None]:
        """Check that frames are still processed during the body, and that memory hardly grows."""
        before, began = self.status(), time.monotonic()
        yield
        after, seconds = self.status(), time.monotonic() - began
        assert after["frames"] - before["frames"] >= LEAST * seconds
        assert after["memory_mb"] - before["memory_mb"] < MOST_GROWTH
        assert after["state"] == "sensing"
        self.daemon.wait_until(self.serves, "an answer")


@pytest.fixture
def box(tmp_path: Path, portrait_file: Path) -> Iterator[Box]:
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    steps = [{"frames": "face.png", "count": 1_000_000}]
    camera = write_script(tmp_path / "script.json", steps, fps=10)
    port = free_port()
    page = f"{QUICK}\n[web]\nenabled = true\nport = {port}\n"
    with Daemon(tmp_path, camera, configuration=page) as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        daemon.wait_mood("happy")
        yield Box(daemon, port)
        assert daemon.end() == 0
    assert daemon.warnings() == []


def test_streams_that_nobody_reads_and_slow_visitors(box: Box) -> None:
    with contextlib.ExitStack() as visits, box.senses_on():
        for _ in range(STREAMS):
            visits.enter_context(Viewer(box.port))
        for _ in range(VIEWERS):
            visits.enter_context(Spectator(box.port))
        for name, count in (("previews", VIEWERS), ("streams", 64)):
            box.daemon.wait_until(lambda: box.status()["outputs"]["web"][name] == count, name)  # noqa: B023
        slow = visits.enter_context(Sluggards(box.port, SLOW))
        box.daemon.wait_until(lambda: slow.hung_up_on > SLOW, "slow ones to be hung up on")
        # Others are served all the while, if not always at the first attempt.
        for _ in range(20):
            box.daemon.wait_until(box.serves, "an answer")
        most = 64 + 64 + VIEWERS + 60
        box.daemon.wait_until(lambda: 0 < box.open_files() < most, "few open files")
    box.daemon.wait_until(lambda: not box.status()["outputs"]["web"]["streams"], "nobody there")


def test_ten_thousand_nonsensical_requests(box: Box) -> None:
    chance = random.Random(5)  # noqa: S311
    with box.senses_on():
        for _ in range(REQUESTS):
            assert b" 500 " not in say(box.port, nonsense(chance))[:20]

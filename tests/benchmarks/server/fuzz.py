"""Thousands of requests that are wrong, sent to the real server."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenbox.images import read_image
from tests.benchmarks.server import mutations
from tests.benchmarks.server.crowd import crowd, trickle
from tests.benchmarks.server.outcome import Outcome, fault
from tests.server_process import Server, memory_of, read_all, serving, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.server.mutations import Wire

WORKERS = 2

RECEIVE_SECONDS = 2
"""How long the server waits for a request: it need not be patient here."""

SENDERS = 16

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "negative_data_rejection",
)
"""Checks of schemathesis. Not that every valid body is accepted: few of its bodies are pictures."""


@dataclass
class Fuzz:
    """One run.

    Args:
        picture: The portrait.
        folder: Holds the log and the reports.
        requests: How many to send, at least.
        crowd: How many clients ask at the same time, three times.
        seed: Of everything random; the timing of the requests is not repeatable.

    """

    picture: Path
    folder: Path
    requests: int
    crowd: int
    seed: int
    outcome: Outcome = field(default_factory=Outcome)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Outcome:
        """Send everything; return the outcome."""
        outcome, log = self.outcome, self.folder / "log"
        allow_connections(self.crowd)
        options = ("--workers", str(WORKERS), "--receive-seconds", str(RECEIVE_SECONDS))
        begun = time.monotonic()
        with serving(log, *options) as server:
            before = workers_of(server, WORKERS)
            start = {pid: memory_of(pid)[0] for pid in before}
            self._send_all(server)
            outcome.workers = (before, workers_of(server, WORKERS))
            for pid in sorted(before & outcome.workers[1]):
                now, most = memory_of(pid)
                outcome.memory.append((start[pid], most, now))
            outcome.code = server.stop()
        outcome.log = log.read_text("utf-8", "replace")
        outcome.seconds = time.monotonic() - begun
        return outcome

    def _send_all(self, server: Server) -> None:
        """Send requests of every kind, the most common kind last, until there are enough."""
        files = mutations.sources(read_image(self.picture))
        examples = max(2, self.requests // 50)
        self.outcome.described = described(server, self.folder, examples, self.seed)
        self._trickle(server, min(200, self.requests // 10))
        for _ in range(3):
            self._crowd(server, files)
        self._mutated(server, "bombs", mutations.bomb_request, files, max(40, self.requests // 25))
        self._mutated(server, "heads", mutations.head_request, files, self.requests // 5)
        left = max(0, self.requests - self.outcome.requests)
        self._mutated(server, "pictures", mutations.picture_request, files, left)

    def _mutated(
        self,
        server: Server,
        kind: str,
        make: Callable[[Sequence[bytes], random.Random], Wire],
        files: Sequence[bytes],
        count: int,
    ) -> None:
        def one(number: int) -> None:
            wire = make(files, random.Random(f"{self.seed} {kind} {number}"))  # noqa: S311
            self._judge(kind, send(server, wire.content), wire)

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(one, range(count)))

    def _crowd(self, server: Server, files: Sequence[bytes]) -> None:
        chance = random.Random(self.seed)  # noqa: S311 - to be repeatable
        wires = [mutations.picture_request(files, chance) for _ in range(self.crowd)]
        for wire, answer in zip(wires, crowd(server.port, wires), strict=True):
            self._judge("crowd", answer, wire)

    def _trickle(self, server: Server, count: int) -> None:
        """Send slowly from many clients; a client that is not slow must be answered meanwhile."""
        content = self.picture.read_bytes()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(trickle, server.port, count, RECEIVE_SECONDS)
            while not slow.done():
                code = server.ask("POST", "/predict", content).status
                self.outcome.codes["beside the slow"][str(code)] += 1
                if code not in (200, 503):
                    self.outcome.faults.append(f"beside slow clients came {code}")
                time.sleep(0.1)
        for wire, answer in slow.result():
            self._judge("slow", answer, wire)

    def _judge(self, kind: str, answer: bytes, wire: Wire) -> None:
        problem = fault(answer, whole=wire.whole)
        with self._lock:
            self.outcome.codes[kind][answer[9:12].decode("latin1") or "none"] += 1
            if problem:
                head = wire.content.partition(b"\r\n\r\n")[0]
                self.outcome.faults.append(f"{kind}: {problem} to {head[:300]!r}")


def send(server: Server, content: bytes) -> bytes:
    """Send bytes, signal that no more will come, and return what comes back."""
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def described(server: Server, folder: Path, examples: int, seed: int) -> dict[str, Any]:
    """Let schemathesis send what it derives from the server's OpenAPI description.

    Args:
        server: The server to ask.
        folder: Holds its report and its log.
        examples: How many for each operation, at most.
        seed: Of what it makes up.

    Returns:
        Its report.

    """
    report = folder / "schemathesis.json"
    (folder / "schemathesis.toml").write_text(
        '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "503"]\n', "utf-8"
    )
    command = [str(Path(sys.executable).with_name("schemathesis")), "run"]
    command += [f"http://127.0.0.1:{server.port}/openapi.json", "--checks", ",".join(CHECKS)]
    command += ["--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"]
    command += ["--phases", "examples,coverage,fuzzing", "--warnings", "off", "--no-color"]
    command += ["--generation-database", "none", "--report", "json"]
    command += ["--report-json-path", str(report)]
    with (folder / "schemathesis.log").open("w") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
    said: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return said


def allow_connections(count: int) -> None:
    """Let this process have this many connections, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        wanted = count + 200 if hard == resource.RLIM_INFINITY else min(hard, count + 200)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

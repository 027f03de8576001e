"""Twenty thousand requests that are wrong, and a search for anything that must not come of them.

What must not come: a 5xx other than 503, a traceback in an answer, an error that is not JSON, no
answer to a request with a whole head, a worker that died, or one that grew beyond its bound.
"""

from __future__ import annotations

import collections
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
from serenbox.server.settings import ServerSettings
from tests.benchmarks.server import mutations
from tests.benchmarks.server.crowd import crowd, trickle
from tests.server_process import Server, read_all, serving, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.server.mutations import Wire

WORKERS = 2

RECEIVE_SECONDS = 3
"""How long the server waits for a request: it need not be patient here."""

SENDERS = 16

MIB = 2**20

SLACK = 32 * MIB
"""Beyond what is counted: buffers of sockets and decoders, threads, what the allocator keeps."""

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
"""Those of schemathesis; that every valid body is accepted it cannot know, for few are pictures."""


def most_growth(settings: ServerSettings) -> int:
    """Return by how many bytes a worker may grow, as docs/server.md tells.

    Its bodies, twice while a form is taken apart, and one decoded picture of three bytes a pixel,
    twice while it is turned upright.
    """
    return 2 * settings.max_memory + 2 * 3 * settings.max_pixels + SLACK


@dataclass
class Outcome:
    """What came of a run."""

    codes: dict[str, collections.Counter[str]] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    """Answers by kind of request and status; "none" where none came, and none had to."""
    faults: list[str] = field(default_factory=list)
    """What must not have come."""
    described: dict[str, Any] = field(default_factory=dict)
    """What schemathesis reported."""
    workers: tuple[set[int], set[int]] = (set(), set())
    """Process ids before and after."""
    memory: list[tuple[int, int]] = field(default_factory=list)
    """Bytes of each worker at the start, and the most that it ever had."""
    log: str = ""
    """What the server wrote."""
    code: int = -1
    """The server's exit code."""
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many were sent."""
        own = sum(counter.total() for counter in self.codes.values())
        return own + int(self.described.get("test_cases", {}).get("generated", 0))

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is not as it must be."""
        found = self.faults[:10]
        if len(self.faults) > len(found):
            found.append(f"and {len(self.faults) - len(found)} more")
        if self.described.get("exit_code"):
            found += [
                f"schemathesis: {one['title']} ({one['count']})"
                for one in [*self.described["failures"], *self.described["errors"]]
            ]
        before, after = self.workers
        if before != after:
            found.append(f"the workers were {sorted(before)} and are {sorted(after)}")
        limit = most_growth(ServerSettings())
        found += [
            f"a worker grew from {start // MIB} to {most // MIB} MiB, by more than {limit // MIB}"
            for start, most in self.memory
            if most - start > limit
        ]
        if "Traceback" in self.log or "WORKER" in self.log or "mistake" in self.log:
            found.append(f"the log tells of a failure: {self.log[-2000:]}")
        if self.code:
            found.append(f"the server ended with exit code {self.code}")
        return found

    def summary(self) -> str:
        """Tell what was sent and what came."""
        cases = self.described.get("test_cases", {})
        lines = [
            f"{self.requests} requests in {self.seconds:.0f} s",
            f"  schemathesis: {cases.get('generated')}, {cases.get('with_failures')} failed",
        ]
        lines += [f"  {kind}: {dict(sorted(c.items()))}" for kind, c in self.codes.items()]
        lines += [
            f"worker: {start // MIB} MiB at the start, {most // MIB} MiB at most "
            f"(bound {(start + most_growth(ServerSettings())) // MIB})"
            for start, most in self.memory
        ]
        before, after = self.workers
        lines.append(f"workers {'as before' if before == after else 'REPLACED'}")
        lines.append(f"lines of log: {len(self.log.splitlines())}")
        return "\n".join(lines)


@dataclass
class Fuzz:
    """One run.

    Args:
        picture: The portrait.
        folder: For the log and reports.
        requests: How many to send, at least.
        crowd: How many clients ask at the same time, three times.
        seed: Of everything random; how requests meet in time is not repeatable.

    """

    picture: Path
    folder: Path
    requests: int
    crowd: int
    seed: int
    outcome: Outcome = field(default_factory=Outcome)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Outcome:
        """Send everything, and return what came of it."""
        outcome, log = self.outcome, self.folder / "log"
        allow_connections(self.crowd)
        options = ("--workers", str(WORKERS), "--receive-seconds", str(RECEIVE_SECONDS))
        begun = time.monotonic()
        with serving(log, *options) as server:
            before = workers_of(server, WORKERS)
            start = {pid: memory_of(pid)[0] for pid in before}
            self._send_all(server)
            outcome.workers = (before, workers_of(server, WORKERS))
            outcome.memory = [
                (start[pid], memory_of(pid)[1]) for pid in sorted(before & outcome.workers[1])
            ]
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
        """Send slowly from many clients; whoever is not slow must be answered meanwhile."""
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
                self.outcome.faults.append(f"{kind}: {problem} to {wire.content[:200]!r}")


def fault(answer: bytes, *, whole: bool) -> str:
    """Return what is wrong with an answer, nothing if it is as it must be.

    Args:
        answer: All that came over the connection.
        whole: Whether the request had a whole head, so that an answer must come.

    """
    if not answer:
        return "no answer" if whole else ""
    head, _, body = answer.partition(b"\r\n\r\n")
    code = head[9:12]
    if not head.startswith(b"HTTP/1.") or not code.isdigit():
        return f"an answer that is not HTTP ({answer[:100]!r})"
    if b"Traceback" in answer:
        return "a traceback"
    if code.startswith(b"5") and code != b"503":
        return f"status {code.decode()}"
    if code.startswith(b"4") and body and not _is_error(body, int(code)):
        return f"an error that is not JSON ({body[:100]!r})"
    return ""


def _is_error(body: bytes, code: int) -> bool:
    try:
        content = json.loads(body)
    except ValueError:
        return False
    return set(content) == {"status", "error", "message"} and content["status"] == code


def send(server: Server, content: bytes) -> bytes:
    """Send, say that there is no more, and return what comes back."""
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def described(server: Server, folder: Path, examples: int, seed: int) -> dict[str, Any]:
    """Let schemathesis ask whatever the server's own description makes it think of.

    Args:
        server: Whom.
        folder: For its report.
        examples: Of each operation.
        seed: Of what it thinks of.

    Returns:
        Its report.

    """
    report = folder / "schemathesis.json"
    (folder / "schemathesis.toml").write_text(
        '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "503"]\n', "utf-8"
    )
    command = [Path(sys.executable).with_name("schemathesis"), "run"]
    command += [f"http://127.0.0.1:{server.port}/openapi.json", "--checks", ",".join(CHECKS)]
    command += ["--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"]
    command += ["--phases", "examples,coverage,fuzzing", "--warnings", "off", "--no-color"]
    command += ["--generation-database", "none", "--report", "json"]
    command += ["--report-json-path", report]
    with (folder / "schemathesis.log").open("w") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
    said: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return said


def memory_of(pid: int) -> tuple[int, int]:
    """Return the bytes that a process has in memory, and the most that it ever had."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    )
    now, most = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def allow_connections(count: int) -> None:
    """Let this process have so many connections, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        wanted = count + 200 if hard == resource.RLIM_INFINITY else min(hard, count + 200)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

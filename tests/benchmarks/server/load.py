"""How much of the bare pipeline's throughput the server reaches, and how it handles overload.

All processes share the same two cores, the client included: what it takes is lost to the server,
and is printed but not subtracted. The bare pipeline has both cores for itself.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.server.client import Client
from tests.server_process import Server, serving, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEAST_SHARE = 0.7
"""Of the bare pipeline's throughput."""

WORKERS = 2

CLIENTS = 8
"""Connections that send one request after the other: enough that no worker waits, too few to fill
one."""

OVERLOAD = 4.0
"""How many times as many requests are sent as can be served."""

LONGEST = 1.0
"""Seconds within which 99 of 100 requests must be answered under overload."""

SENDERS = 256
"""Connections under overload: this many requests can be under way at a time."""

BARE = """
import sys, time, cv2
from serenbox.cli.common import native_messages_hidden
from serenbox.detector import EmotionDetector
cv2.setNumThreads(1)
content = open(sys.argv[1], "rb").read()
with native_messages_hidden(show=False):
    detector = EmotionDetector()
    detector.detect(content)
print("ready", flush=True)
seconds = float(sys.stdin.readline())
begun, used, done = time.monotonic(), time.process_time(), 0
while time.monotonic() < begun + seconds:
    detector.detect(content)
    done += 1
print(done, time.monotonic() - begun, time.process_time() - used)
"""


@dataclass(frozen=True)
class Rate:
    """How fast pictures were processed."""

    second: float
    """Pictures per second."""
    cost: float
    """Seconds of a core that each took, in the processes that worked on it."""


@dataclass
class Answers:
    """Codes and delays of many requests."""

    seconds: float = 0.0
    """From the first to the last."""
    delays: dict[int, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    """By code, 0 if no answer came: seconds from when the request was due."""
    client: float = 0.0
    """Seconds of a core that the client took."""
    server: float = 0.0
    """Seconds of a core that the workers took."""

    @property
    def requests(self) -> int:
        """How many were sent."""
        return sum(map(len, self.delays.values()))

    @property
    def rate(self) -> Rate:
        """How fast pictures were answered."""
        served = len(self.delays[200])
        return Rate(served / self.seconds, (self.client + self.server) / served)

    def late(self, *codes: int) -> float:
        """Return the seconds within which 99 of 100 requests with these codes were answered."""
        return statistics.quantiles(
            [s for code in codes for s in self.delays.get(code, [])], n=100
        )[98]

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is not as it must be under overload."""
        found = []
        if other := sorted(set(self.delays) - {0, 200, 503}):
            found.append(f"under overload came answers with {other}")
        if lost := len(self.delays.get(0, [])):
            found.append(f"under overload {lost} requests got no answer")
        if not self.delays.get(503):
            found.append("what should be overload was none")
        elif (late := self.late(200, 503)) > LONGEST:
            found.append(f"under overload p99 is {late:.3f} s, and may be {LONGEST} s")
        return found


@dataclass
class Measured:
    """The figures of a run."""

    shares: list[float] = field(default_factory=list)
    """Served pictures as a share of those of the bare pipeline, by round."""
    refused: int = 0
    """Requests that were not answered 200 although there was no overload."""
    overload: Answers = field(default_factory=Answers)

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is not as it must be."""
        found = []
        if (share := statistics.median(self.shares)) < LEAST_SHARE:
            found.append(f"the server reaches {share:.2f} of the bare pipeline, not {LEAST_SHARE}")
        if self.refused:
            found.append(f"{self.refused} requests were refused without need")
        return found + self.overload.problems()


@dataclass(frozen=True)
class Load:
    """The measurement of one picture.

    Args:
        picture: What is asked about; it shows a face.
        log: The file that the server writes to.
        seconds: Of each run.
        rounds: How many pairs of runs.

    """

    picture: Path
    log: Path
    seconds: float
    rounds: int

    def run(self) -> Measured:
        """Measure, and print each figure as soon as it is there."""
        with few_cores() as count:
            print(f"{self.picture.name}, {WORKERS} workers on {count} cores", flush=True)
            return self._run()

    def _run(self) -> Measured:
        content = self.picture.read_bytes()
        measured, rates = Measured(), []
        with serving(self.log, "--workers", str(WORKERS)) as server:
            closed_loop(server, content, CLIENTS, 1)  # so that everything has run once
            for _ in range(self.rounds):
                bare = bare_rate(self.picture, self.seconds)
                answers = closed_loop(server, content, CLIENTS, self.seconds)
                measured.shares.append(answers.rate.second / bare.second)
                measured.refused += answers.requests - len(answers.delays[200])
                rates.append(answers.rate.second)
                show_round(bare, answers)
            print(f"share of the bare pipeline, median: {statistics.median(measured.shares):.2f}")
            wanted = OVERLOAD * statistics.median(rates)
            measured.overload = open_loop(server, content, wanted, 2 * self.seconds)
        show_overload(measured.overload)
        return measured


@contextlib.contextmanager
def few_cores() -> Iterator[int]:
    """Let this process and those it starts use one core for each worker; yield how many."""
    all_cores = os.sched_getaffinity(0)
    chosen = sorted(all_cores)[:WORKERS]
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, all_cores)


def show_round(bare: Rate, answers: Answers) -> None:
    """Print the figures of a pair of runs.

    What each picture costs is printed beside the rates, because that hardly depends on what else
    the machine does.
    """
    served, count = answers.rate, len(answers.delays[200])
    print(
        f"bare {bare.second:.1f}/s, served {served.second:.1f}/s: "
        f"{served.second / bare.second:.2f}; a picture costs {1000 * bare.cost:.2f} ms of a core, "
        f"served {1000 * answers.server / count:.2f} and {1000 * answers.client / count:.2f} in "
        f"the client: {bare.cost / served.cost:.2f}; "
        f"p50 {1000 * statistics.median(answers.delays[200]):.0f} ms",
        flush=True,
    )


def show_overload(answers: Answers) -> None:
    """Print what became of the requests under overload."""
    codes = {code: len(delays) for code, delays in sorted(answers.delays.items())}
    print(
        f"{OVERLOAD:g} times as much, {answers.requests / answers.seconds:.0f}/s: {codes}, "
        f"{answers.rate.second:.1f}/s served, "
        f"the workers took {answers.server / answers.seconds:.2f} cores, "
        f"the client {answers.client / answers.seconds:.2f}"
    )
    for name, some in (("all", (200, 503)), ("200", (200,)), ("503", (503,))):
        delays = [seconds for code in some for seconds in answers.delays.get(code, [])]
        if len(delays) > 1:
            print(
                f"  {name}: p50 {statistics.median(delays):.3f} s, "
                f"p99 {answers.late(*some):.3f} s, longest {max(delays):.3f} s"
            )


def bare_rate(picture: Path, seconds: float) -> Rate:
    """Return the joint rate of bare loops, one for each worker."""
    command = [sys.executable, "-c", BARE, str(picture)]
    pipe = subprocess.PIPE
    loops = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(WORKERS)]
    for loop in loops:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "ready\n"
    for loop in loops:
        assert loop.stdin is not None
        loop.stdin.write(f"{seconds}\n")
        loop.stdin.flush()
    figures = [tuple(map(float, loop.communicate()[0].split())) for loop in loops]
    done = sum(count for count, _, _ in figures)
    used = sum(core for _, _, core in figures)
    return Rate(sum(count / lasted for count, lasted, _ in figures), used / done)


def closed_loop(server: Server, content: bytes, clients: int, seconds: float) -> Answers:
    """Let clients send one request after the other, each on its own connection."""
    begun = time.monotonic()

    def due() -> float | None:
        now = time.monotonic()
        return now if now < begun + seconds else None

    return asked(server, content, clients, due)


def open_loop(server: Server, content: bytes, rate: float, seconds: float) -> Answers:
    """Send requests at a rate, whether or not earlier ones have been answered."""
    begun = time.monotonic()
    # `next` of a counter is a single step: no other thread can come in between.
    numbers = itertools.count()

    def due() -> float | None:
        number = next(numbers)
        return begun + number / rate if number < rate * seconds else None

    return asked(server, content, SENDERS, due)


def asked(server: Server, content: bytes, clients: int, due: Callable[[], float | None]) -> Answers:
    """Send each request when it is due, until no more are; return the answers.

    Args:
        server: The server to ask.
        content: The picture.
        clients: How many connections.
        due: Returns when the next request is to be sent, None if there is none.

    """
    answers = Answers()
    lock = threading.Lock()

    def ask(_: int) -> None:
        with Client(server) as client:
            while (moment := due()) is not None:
                time.sleep(max(0.0, moment - time.monotonic()))
                code = client.post("/predict", content)
                with lock:
                    answers.delays[code].append(time.monotonic() - moment)

    begun, used = time.monotonic(), time.process_time()
    workers = workers_of(server, WORKERS)
    spent = sum(map(core_seconds, workers))
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    answers.seconds = time.monotonic() - begun
    answers.client = time.process_time() - used
    answers.server = sum(map(core_seconds, workers)) - spent
    return answers


def core_seconds(pid: int) -> float:
    """Return the seconds of a core that a process has taken, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

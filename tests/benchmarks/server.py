"""Load and fuzz `serenbox serve` on this machine.

    python -m tests.benchmarks.server load PORTRAIT
    python -m tests.benchmarks.server fuzz PORTRAIT --requests 20000

`load` compares the throughput of two workers with that of two processes that only decode the
picture and run both models, taken in turns; then many more clients ask than can be served. `fuzz`
sends mutated pictures, forms and heads, and counts the answers; the sizes of the workers are told
before and after.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from serenbox.images import read_image
from tests.server_process import Server, form, read_all, serving

BARE = """
import sys, time, cv2
cv2.setNumThreads(1)
from serenbox.detector import EmotionDetector
detector = EmotionDetector()
content = open(sys.argv[1], "rb").read()
detector.detect(content)
print("ready", flush=True)
end = float(sys.stdin.readline())
done = 0
while time.time() < end:
    detector.detect(content)
    done += 1
print(done)
"""


def bare_rate(picture: Path, processes: int, seconds: float) -> float:
    """Return pictures per second of bare loops, all together."""
    command = [sys.executable, "-c", BARE, str(picture)]
    pipe = subprocess.PIPE
    loops = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)
    ]
    for loop in loops:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "ready\n"
    end = time.time() + seconds
    counts = [loop.communicate(f"{end}\n")[0] for loop in loops]
    return sum(map(int, counts)) / seconds


def served(
    server: Server, content: bytes, clients: int, seconds: float
) -> tuple[collections.Counter[int], list[float]]:
    """Ask with so many clients that each wait for their answer; return codes and seconds."""
    codes: collections.Counter[int] = collections.Counter()
    times: list[float] = []
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def ask(_: int) -> None:
        while time.monotonic() < end:
            start = time.monotonic()
            code = server.ask("POST", "/predict", content).status
            with lock:
                codes[code] += 1
                times.append(time.monotonic() - start)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return codes, times


def load(picture: Path, seconds: float, rounds: int) -> None:
    """Print ratios of paired runs, and what happens under overload."""
    content = picture.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with serving(log, "--workers", "2") as server:
            ratios = []
            for _ in range(rounds):
                bare = bare_rate(picture, 2, seconds)
                codes, _ = served(server, content, 6, seconds)
                ratios.append(codes[200] / seconds / bare)
                print(f"bare {bare:.1f}/s, served {codes[200] / seconds:.1f}/s, {dict(codes)}")
            print(f"ratio: median {statistics.median(ratios):.2f} of {rounds}")
            codes, times = served(server, content, 72, 2 * seconds)
            late = statistics.quantiles(times, n=100)[98]
            print(
                f"72 clients: {dict(codes)}, p50 {statistics.median(times):.3f} s, p99 {late:.3f} s"
            )


def fuzz(picture: Path, requests: int, clients: int, seed: int) -> int:
    """Send nonsense; return 1 if anything but a sensible answer came."""
    image = cv2.resize(read_image(picture)[40:200, 140:300], (112, 112))
    suffixes = (".png", ".jpg", ".webp", ".bmp", ".ppm", ".tiff")
    sources = [cv2.imencode(suffix, image)[1].tobytes() for suffix in suffixes]
    bad: list[bytes] = []
    codes: collections.Counter[str] = collections.Counter()

    def one(number: int) -> None:
        chance = random.Random(seed * 1_000_003 + number)  # noqa: S311 - to be repeatable
        answer = send(server, wire(sources, chance))
        code = answer[9:12].decode("latin1") or "closed"
        codes[code] += 1
        if b"Traceback" in answer or (code[:1] == "5" and code != "503"):
            bad.append(answer)

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with serving(log, "--workers", "2", "--receive-seconds", "3") as server:
            before = sizes(server)
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(one, range(requests)))
            print(f"answers: {dict(sorted(codes.items()))}")
            print(f"workers and their MB: before {before}, after {sizes(server)}")
        text = log.read_text("utf-8")
        print(f"lines of log: {len(text.splitlines())}, tracebacks: {text.count('Traceback')}")
    print(f"bad answers: {len(bad)}", *bad[:3])
    return 1 if bad else 0


def send(server: Server, content: bytes) -> bytes:
    """Send, say that there is no more, and return what comes back."""
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(content)
            connection.shutdown(1)
        return read_all(connection)


def wire(sources: list[bytes], chance: random.Random) -> bytes:
    """Return one request: the picture, the form, the head, or nothing of it damaged."""
    picture = chance.choice(sources)
    if chance.random() < 0.7:
        picture = damaged(picture, chance, len(picture))
    kind = chance.choice(("image/png", "text/html", "application/json", "multipart/form-data", "é"))
    if chance.random() < 0.4:
        picture, kind = form(picture)
        if chance.random() < 0.3:
            picture = damaged(picture, chance, 150)
    path = chance.choice(("/predict", "/", "/detect", "/healthz", "/%ff", "/predict/", "//x", "*"))
    method = chance.choice(("POST",) * 8 + ("GET", "PUT", "OPTIONS", "HEAD", "BREW"))
    length = len(picture) + (chance.choice((-9, 9, 10**12)) if chance.random() < 0.05 else 0)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
    if chance.random() < 0.15:
        head = damaged(head, chance, len(head))
    return head + picture


def damaged(content: bytes, chance: random.Random, span: int) -> bytes:
    """Cut, flip, repeat or overwrite some of the first bytes."""
    changed = bytearray(content)
    place = chance.randrange(span)
    match chance.randrange(4):
        case 0:
            del changed[place:]
        case 1:
            for _ in range(chance.randint(1, 20)):
                changed[chance.randrange(span)] ^= 1 << chance.randrange(8)
        case 2:
            changed[place:place] = changed[place : place + chance.randint(1, 200)]
        case _:
            changed[place : place + 8] = chance.randbytes(chance.randint(0, 16))
    return bytes(changed)


def sizes(server: Server) -> dict[int, int]:
    """Return the resident megabytes of each worker."""
    command = ["ps", "-o", "pid=,rss=", "--ppid", str(server.process.pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    numbers = list(map(int, listed))
    return {pid: rss // 1024 for pid, rss in zip(numbers[::2], numbers[1::2], strict=True)}


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("load", "fuzz"))
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if args.what == "fuzz":
        return fuzz(args.picture, args.requests, args.clients, args.seed)
    load(args.picture, args.seconds, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

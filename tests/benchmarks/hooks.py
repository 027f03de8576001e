"""What hooks that misbehave cost the service: latency with none and with five of them.

Run: `python -m tests.benchmarks.hooks PORTRAIT`. The mood changes all the time. One hook hangs, one
floods its output, one dies, one is missing, and one does its work. The runs with and without them
alternate, so that whatever else the machine does affects both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.daemon_process import QUICK, Daemon, write_script

ROUNDS = 3
SECONDS = 12.0
LIVELY = ("--set", "mood.minimum=0.1", "--set", "mood.dwell=0.1", "--set", "sensing.motion=0")

HOOKS = [
    (["sleep", "600"], 2),
    (["yes", "flood"], 2),
    (["sh", "-c", "kill -SEGV $$"], 10),
    (["/nowhere"], 10),
    (["sh", "-c", "cat > /dev/null"], 10),
]


def measure(folder: Path, hooks: str) -> dict[str, Any]:
    """Return the status of a service that ran for a while."""
    camera = f"scripted:{folder / 'script.json'}"
    folder = Path(tempfile.mkdtemp(dir=folder))
    with Daemon(folder, camera, configuration=QUICK + hooks, arguments=LIVELY) as daemon:
        daemon.wait_mood("happy")
        time.sleep(SECONDS)
        status: dict[str, Any] = json.loads(daemon.command("status", "--json").stdout)
        status["events"] = len(daemon.events)
        daemon.end()
    return status


def main() -> None:
    """Print a line per run, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portrait", metavar="PORTRAIT", type=Path)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="serenbox-bench-"))
    shutil.copy(args.portrait, folder / "face.png")
    # Most frames show a face, so that in every run the median is one of a frame with a face.
    steps = [{"frames": "face.png", "count": 24}, {"black": 9}]
    write_script(folder / "script.json", steps, loop=True)
    tables = "".join(
        f"\n[[hooks]]\nevents = ['mood']\ncommand = {json.dumps(command)}\ntimeout = {timeout}\n"
        for command, timeout in HOOKS
    )
    ratios: dict[str, list[float]] = {"p50": [], "p95": []}
    growths = []
    for _ in range(ROUNDS):
        runs = {name: measure(folder, hooks) for name, hooks in (("none", ""), ("five", tables))}
        for name, status in runs.items():
            latency = status["latency_ms"]["total"]
            health = status["outputs"].get("hooks", {"published": 0, "failed": 0, "dropped": 0})
            print(
                f"{name} hooks: p50 {latency['p50']:.2f} ms, p95 {latency['p95']:.2f} ms, "
                f"{status['fps']:.1f} fps, {status['memory_mb']:.1f} MB, {status['events']} moods, "
                f"{health['published']} runs ended well, {health['failed']} did not, "
                f"{health['dropped']} events gave way",
                flush=True,
            )
        without, with_hooks = (runs[name]["latency_ms"]["total"] for name in ("none", "five"))
        for quantile, found in ratios.items():
            found.append(with_hooks[quantile] / without[quantile])
        growths.append(runs["five"]["memory_mb"] - runs["none"]["memory_mb"])
    print(
        f"with hooks p50 is {statistics.median(ratios['p50']):.3f} times, p95 "
        f"{statistics.median(ratios['p95']):.3f} times that without; "
        f"memory {statistics.median(growths):+.1f} MB"
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""Load and fuzz `serenbox serve` on this machine.

    python -m tests.benchmarks.server load PICTURE
    python -m tests.benchmarks.server fuzz PORTRAIT --requests 20000

`load` compares the throughput of two workers with that of two processes that only decode the
picture and run both models, and then sends four times as many requests as can be served. `fuzz`
sends mutated pictures, bombs, forms and heads, requests that a tool derives from the server's own
description, slow uploads, and the requests of a thousand clients at a time. Each ends by itself;
the exit code is 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("load", help="measure throughput, and delays under overload")
    load.add_argument("picture", type=Path, help="a photograph with a face")
    load.add_argument("--seconds", type=float, default=6, help="of each run (%(default)s)")
    load.add_argument("--rounds", type=int, default=5, help="of paired runs (%(default)s)")
    fuzz = commands.add_parser("fuzz", help="send nonsense")
    fuzz.add_argument("picture", type=Path, help="the portrait, 512 x 512")
    fuzz.add_argument("--requests", type=int, default=20_000, help="at least (%(default)s)")
    fuzz.add_argument("--crowd", type=int, default=1000, help="clients at a time (%(default)s)")
    fuzz.add_argument("--seed", type=int, default=1, help="of everything random (%(default)s)")
    args = parser.parse_args()
    # Each process uses one core, as a worker of the server does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        if args.command == "load":
            from tests.benchmarks.server.load import Load

            measured = Load(args.picture, Path(folder, "log"), args.seconds, args.rounds).run()
            return finish(measured.problems())
        from tests.benchmarks.server.fuzz import Fuzz

        outcome = Fuzz(args.picture, Path(folder), args.requests, args.crowd, args.seed).run()
        print(outcome.summary())
        return finish(outcome.problems())


def finish(problems: list[str]) -> int:
    """Print what is wrong, if anything; return the exit code."""
    print("all is as it must be" if not problems else "NOT as it must be:", *problems, sep="\n  ")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the program as a child process, and report how it ended where it cannot do so itself.

When a machine is lost, the engine that connects the machines may abort the whole process from one
of its own threads, at any point of the Python code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SUPERVISED = "SERENBOX_TRAINING_SUPERVISED"
"""The environment variable that marks a supervised child."""

GRACE_SECONDS = 15
"""How long a child may take to end after SIGTERM; Vertex AI allows 30 s in all."""


def supervise(arguments: Sequence[str], program: str) -> int:
    """Run `python -m training` with these arguments as a child, until it ends.

    SIGTERM is passed on to the child, which is killed if it still runs `GRACE_SECONDS` later.

    Returns:
        The child's exit code; 1 if the engine aborted it, 128 + N if another signal N ended it.

    """
    child = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "training", *arguments],
        env=os.environ | {SUPERVISED: "1"},
        stdin=subprocess.PIPE,  # closes when this process ends, however it ends
    )

    def end(*_: object) -> None:
        child.terminate()
        timer = threading.Timer(GRACE_SECONDS, child.kill)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to the child as well
    code = child.wait()
    if code >= 0:
        return code
    if code == -signal.SIGABRT:
        print(
            f"{program}: error: the engine gave up, most likely because another machine was lost: "
            "start all of them again, with --resume=auto",
            file=sys.stderr,
        )
        return 1
    print(f"{program}: error: ended by {signal.Signals(-code).name}", file=sys.stderr)
    return 128 - code


def leave(code: int) -> int:
    """Return the exit code, or, in a child that failed, exit with it at once.

    In a normal exit the engine would first wait for machines that may be lost.
    """
    if code and is_child():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def is_child() -> bool:
    """Return whether this process is a child of `supervise`."""
    return os.environ.get(SUPERVISED) == "1"


def end_with_parent() -> None:
    """Make this child exit as soon as its parent has ended."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, which a waiting thread would keep from being closed
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()

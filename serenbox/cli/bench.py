"""`serenbox bench`: what the service costs on this machine."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from serenbox.bench.figures import Report, as_json, as_table
from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_OK,
    Tool,
    UsageError,
    native_messages_hidden,
    number_type,
    path_of,
    write_line,
)
from serenbox.cli.terminal import Progress
from serenbox.system_text import text_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType

    from serenbox.runtime_names import RuntimeName

_ENDING = (signal.SIGTERM, signal.SIGHUP)

_PARTS = ("frames", "broker", "memory", "start", "idle")

_count = number_type("a whole number above 0", lambda count: count > 0, whole=True)
_seconds = number_type("a number from 1", lambda seconds: 1 <= seconds < math.inf)


class BenchTool(Tool):
    """Measure how fast, how light and how soon ready the service is on this machine.

    It watches a face that it draws, or the clip or photo that you give, with default settings and
    one thread, and says for each figure whether it is within its limit:
      frames   from the camera to the event, stage by stage, next to bare runs of the two models
      broker   from the service to a subscriber, over a Mosquitto of its own (if installed)
      memory   of the service as fast as it can go, and by how much it grows
      start    until the first mood, next to the bare loading of the same libraries
      idle     the processor's time while nothing moves, at 5 frames per second
    It takes about two and a half minutes; other work on the machine makes the figures worse. A
    running service is left alone.

    With --json one object is printed:
      {"schema": 1, "ok": true, ..., "latency_ms": {"find": {"p50", "p95", "p99"}, ...},
       "figures": {"start": {"value", "limit", "unit", "verdict", "note"}, ...}}
    The verdict is ok, over, or unknown where a figure cannot be measured here.

    Exit code: 0 if no figure is over its limit; 1 if one is; 2 if the call is wrong, or the clip,
    a model or the service cannot be used.
    """

    prog: ClassVar[str] = "serenbox bench"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        given = parser.add_mutually_exclusive_group()
        given.add_argument("--input", metavar="FILE", type=path_of, help="video with one face")
        given.add_argument("--photo", metavar="FILE", type=path_of, help="picture of one face")
        add = parser.add_argument
        add("--json", action="store_true", help="print one JSON object")
        add(
            "--only",
            metavar="PART",
            choices=_PARTS,
            action="append",
            help=f"one of {', '.join(_PARTS)}; may be repeated (default: all)",
        )
        add("--frames", metavar="N", type=_count, default=1000, help="to follow (default: 1000)")
        add(
            "--memory-seconds",
            metavar="N",
            type=_seconds,
            default=60.0,
            help="to watch memory (default: 60)",
        )
        add(
            "--idle-seconds",
            metavar="N",
            type=_seconds,
            default=20.0,
            help="to watch an idle service (default: 20)",
        )
        add("--starts", metavar="N", type=_count, default=7, help="of the service (default: 7)")

    def run(self, args: argparse.Namespace) -> int:
        """Measure everything that was asked for, and print it."""
        _load_numpy()
        with ended_in_order(), tempfile.TemporaryDirectory(prefix="serenbox-bench-") as folder:
            report = _measure(args, Path(folder))
        write_line(as_json(report) if args.json else as_table(report))
        return EXIT_OK if report.well else EXIT_FAILED


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that the folder and the processes are cleaned up.

    The folder may hold frames of the photo.
    """

    def end(number: int, _: FrameType | None = None) -> None:
        if isinstance(sys.exception(), SystemExit):  # cleaning up already: do not interrupt
            return
        # Native code that calls Python may swallow the exception: raise it again then.
        signal.signal(signal.SIGALRM, lambda *_: end(number))
        signal.setitimer(signal.ITIMER_REAL, 1)
        raise SystemExit(128 + number)

    heeded = [each for each in _ENDING if signal.getsignal(each) is signal.SIG_DFL]  # not nohup's
    for each in heeded:
        signal.signal(each, end)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in heeded:
            signal.signal(each, signal.SIG_DFL)


def _load_numpy() -> None:
    """Load NumPy as the service does, without changing the environment of what is compared."""
    found = "OPENBLAS_NUM_THREADS" in os.environ
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    importlib.import_module("numpy")
    if not found:
        del os.environ["OPENBLAS_NUM_THREADS"]


def _measure(args: argparse.Namespace, folder: Path) -> Report:
    from serenbox.bench.parts import PARTS, Plan

    with native_messages_hidden(show=args.debug):
        clip, name = _clip(args, folder)
        runtime = _runtime()
    report = Report({**_machine(), "runtime": runtime, "input": name})
    plan = Plan(
        clip, folder, args.frames, args.memory_seconds, args.idle_seconds, args.starts, runtime
    )
    chosen = [part for part in _PARTS if part in (args.only or _PARTS)]
    progress = Progress(len(chosen) + 1)
    for number, part in enumerate(chosen, 1):
        progress.show(number, f"measuring: {part}")
        with native_messages_hidden(show=args.debug):
            PARTS[part](plan, report)
    progress.clear()
    return report


def _clip(args: argparse.Namespace, folder: Path) -> tuple[Path, str]:
    """Return the recording to watch and its description; it is made here unless it is given."""
    if args.input is not None:
        if not args.input.is_file():
            raise UsageError(f"{args.input}: there is no such video: check the name")
        return args.input, str(args.input)
    from serenbox.bench.clip import drawn_face, face_frames, write_clip
    from serenbox.images import read_image

    made = folder / "face.avi"
    picture = drawn_face() if args.photo is None else read_image(args.photo)
    write_clip(made, face_frames(picture))
    return made, "a drawn face" if args.photo is None else str(args.photo)


def _runtime() -> RuntimeName:
    from serenbox.models import FACE_MODEL
    from serenbox.runtime import open_model

    return open_model(FACE_MODEL.read_bytes()).runtime


def _machine() -> dict[str, Any]:
    return {
        "machine": f"{platform.machine()}, {_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }


def _model() -> str:
    """Return the name of the machine's model, else that of its processor."""
    board = text_of(Path("/proc/device-tree/model")).rstrip("\0")
    lines = text_of(Path("/proc/cpuinfo")).splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, [board, *names, platform.processor()]), "an unknown processor")

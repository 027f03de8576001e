"""`serenbox pause`, `serenbox resume` and `serenbox status`: talk to the running service."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, ClassVar

from serenbox.cli.common import EXIT_FAILED, EXIT_OK, Tool, printable, write_line
from serenbox.daemon.control import ask_service
from serenbox.errors import ServiceError

if TYPE_CHECKING:
    import argparse

_PATIENCE = 15.0
"""Seconds within which a camera closes, unless it hangs and `camera.timeout` is longer."""

_STATES = {
    "sensing": "sensing",
    "paused": "paused, the camera is closed",
    "no_camera": "no camera, waiting for one",
}


class ControlTool(Tool):
    """Base class of the three commands."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare no arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Talk to the service."""
        try:
            self.talk(args)
        except ServiceError as error:
            self.error(str(error))
            return EXIT_FAILED
        return EXIT_OK

    def talk(self, args: argparse.Namespace) -> None:
        """Send the request and print the outcome.

        Raises:
            ServiceError: It failed.

        """
        raise NotImplementedError


class PauseTool(ControlTool):
    """Close the camera until `serenbox resume`, even after a restart.

    Returns when the camera is closed. Exit code: 0 if it is and stays so after a restart of the
    service or of the box; 1 if not, or if the service cannot be asked.
    """

    prog: ClassVar[str] = "serenbox pause"

    def talk(self, args: argparse.Namespace) -> None:
        """Pause, and wait for the camera to be closed."""
        del args
        answer = ask_service("pause")
        remembered = answer.get("remembered", True)
        problem = answer.get("problem") or "a restart would open it again"
        deadline = time.monotonic() + _PATIENCE
        while answer["state"] != "paused":
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"the camera is still not closed after {_PATIENCE:g} s: to be sure, stop "
                    "the service with `sudo systemctl stop serenbox`"
                )
            time.sleep(0.05)
            answer = ask_service("status")
        if not remembered:
            raise ServiceError(f"paused: the camera is closed, but {problem}")
        write_line("paused: the camera is closed until `serenbox resume`")


class ResumeTool(ControlTool):
    """Open the camera again.

    Exit code: 0 if the camera is being opened, and would be after a restart; 1 if not, or if the
    service cannot be asked.
    """

    prog: ClassVar[str] = "serenbox resume"

    def talk(self, args: argparse.Namespace) -> None:
        """Resume."""
        del args
        if not ask_service("resume").get("remembered", True):
            raise ServiceError(
                "resumed: the camera is being opened, but a restart would close it again, because "
                "this could not be saved: see the service's log"
            )
        write_line("resumed: the camera is being opened")


class StatusTool(ControlTool):
    """Say what the service is doing.

    With --json one object is printed, the statistics that are also published, with "mood",
    "confidence", "pid" and "problem".

    Exit code: 0 if a service runs, whatever it does; 1 if none does,
    or if it cannot be asked.
    """

    prog: ClassVar[str] = "serenbox status"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def talk(self, args: argparse.Namespace) -> None:
        """Ask and print."""
        answer = ask_service("status")
        write_line(json.dumps(answer) if args.json else describe(answer))


def describe(status: dict[str, Any]) -> str:
    """Return the status as readable lines; what could control a terminal is escaped."""
    hours, seconds = divmod(int(status["uptime"]), 3600)
    minutes, seconds = divmod(seconds, 60)
    rows = [
        ("state", _STATES.get(status["state"], status["state"])),
        ("mood", _mood(status)),
        ("camera", status["camera"] or "none"),
        ("problem", status["problem"]),
        ("frames", f"{status['frames']}, {status['fps']:.1f} per second"),
        ("latency", _latency(status["latency_ms"])),
        ("running", f"{hours} h {minutes} min {seconds} s, process {status['pid']}"),
        ("memory", f"{status['memory_mb']:.0f} MB"),
    ]
    rows += [(name, _output(health)) for name, health in status["outputs"].items()]
    return "\n".join(f"{name:<8}  {printable(str(text))}" for name, text in rows if text)


def _mood(status: dict[str, Any]) -> str | None:
    if status["state"] != "sensing":
        return None
    return f"{status['mood']} ({status['confidence']:.0%})"


def _latency(stages: dict[str, dict[str, float]]) -> str | None:
    total = stages.get("total")
    return f"{total['p50']:.1f} ms, one in 100 over {total['p99']:.1f} ms" if total else None


def _output(health: dict[str, Any]) -> str:
    state = "connected" if health.get("connected") else "not connected"
    if "failed" in health:  # hooks
        state = f"{health['published']} ended well, {health['failed']} did not"
        if health.get("dropped"):
            state += f", {health['dropped']} gave way to newer events"
    if health.get("previews"):
        state += ", the live preview of the camera is on"
    problem = health.get("problem")
    return f"{state}: {problem}" if problem else state

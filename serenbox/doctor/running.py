"""What a running service says of itself: it may fail although all looks well from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serenbox.doctor.result import Result
from serenbox.doctor.systemd import UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOOK = f"journalctl --unit {UNIT} --lines 20"
"""The command that shows what happened before."""

_CHECKED = {"mqtt", "history", "web"}
"""Outputs that have checks of their own."""


def outputs_of(running: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    """Return what the running service says of each output; empty if none answers."""
    return (running or {}).get("outputs") or {}


def output_problem(running: Mapping[str, Any] | None, name: str) -> str:
    """Return what is wrong with an output of the running service; empty if nothing is.

    Args:
        running: What the service says of itself; None if none answers.
        name: The output.

    """
    return str(outputs_of(running).get(name, {}).get("problem") or "")


def is_used(running: Mapping[str, Any] | None, name: str) -> bool:
    """Return whether the running service has an output."""
    return name in outputs_of(running)


def camera_problem(running: Mapping[str, Any] | None) -> str:
    """Return what is wrong with the camera of the running service; empty if nothing is."""
    if running is None or running.get("state") == "paused":  # then the problem concerns the pause
        return ""
    return str(running.get("problem") or "")


def as_told(found: Result, problem: str) -> Result:
    """Return the result of a check, or the service's problem if the check did not fail.

    Args:
        found: What the check has found from outside.
        problem: What the service says; empty if nothing is wrong.

    """
    if found.state == "fail" or not problem:
        return found
    return Result(found.name, "fail", problem, found.mend or LOOK)


def check_other_outputs(running: Mapping[str, Any] | None) -> Iterator[Result]:
    """Report problems of the outputs that no other check looks at: standard output and hooks."""
    for name in outputs_of(running):
        problem = output_problem(running, name)
        if problem and name not in _CHECKED:
            works = outputs_of(running)[name].get("connected")  # if so, only its last hook failed
            yield Result(name, "warn" if works else "fail", problem, LOOK)

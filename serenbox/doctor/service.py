"""Checks of what runs: the broker and the unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serenbox.addresses import is_loopback
from serenbox.daemon.control import ask_service
from serenbox.doctor.reach import Reach
from serenbox.doctor.result import Result
from serenbox.doctor.running import LOOK, outputs_of
from serenbox.doctor.systemd import UNIT, ask_properties, last_words, runs_here
from serenbox.errors import ServiceError
from serenbox.installed import INSTALL_AGAIN
from serenbox.outputs.mqtt_access import address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serenbox.doctor.roots import Roots
    from serenbox.settings.schema import MqttSettings

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "NRestarts", "Result", "ExecMainStatus")
"""The properties of the unit that systemd is asked for."""
_NO_UNIT = {"LoadState": "not-found", "ActiveState": "inactive"}
"""What systemd says of a unit that is not installed."""


def check_broker(
    settings: MqttSettings,
    reach: Reach | None = None,
    running: Mapping[str, Any] | None = None,
) -> Result:
    """Check that the broker takes connections, also those of the service; nothing is sent.

    Args:
        settings: Where it is, and whether it is used at all.
        reach: What the service may reach; everything if None.
        running: What the running service says of itself: it has logged in, or tried to.

    """
    if not settings.enabled:
        return Result("broker", "ok", "not used: mqtt.enabled is false")
    mend = f"ping -c 3 {settings.host}"
    if is_loopback(settings.host):
        mend = "sudo apt install mosquitto && sudo systemctl restart mosquitto"
    found = (reach or Reach()).check("broker", settings.host, settings.port, mend)
    told = outputs_of(running).get("mqtt")
    if found.state != "ok" or not told:
        return found
    if problem := str(told.get("problem") or ""):
        if _concerns(problem, settings) and "reached" not in problem:
            return Result("broker", "fail", problem, LOOK)
        seen = f"{found.seen}; the running service says: {problem}"
        return Result("broker", "warn", seen, f"sudo systemctl restart {UNIT}")
    if told.get("connected"):
        return replace(found, seen=f"{found.seen}, and the service is connected")
    return found


def _concerns(problem: str, settings: MqttSettings) -> bool:
    """Return whether a problem of the service is one with these settings, not with earlier ones."""
    if problem.startswith("mqtt.ca_file "):
        return problem.startswith(f"mqtt.ca_file {settings.ca_file} ")
    return "the broker at " not in problem or address(settings) in problem


def ask_running() -> dict[str, Any] | None:
    """Ask the running service how it is; None if none answers."""
    try:
        return ask_service("status")
    except ServiceError:
        return None


def check_unit(roots: Roots, running: Mapping[str, Any] | None = None) -> Result:
    """Check how the service is.

    Args:
        roots: Where systemd would show itself.
        running: What the running service says of itself; None if none answers.

    """
    booted = runs_here(roots)
    told = ask_properties(*_PROPERTIES) if booted else _NO_UNIT
    idle = told.get("ActiveState") == _NO_UNIT["ActiveState"]
    if running and idle:
        return _judge_process(running)
    if idle and told.get("LoadState") == _NO_UNIT["LoadState"]:
        if not booted:
            seen = "none runs, and systemd, which would start it, is not there"
            return Result("service", "ok", seen)
        mend = f"{INSTALL_AGAIN}  # in SerenBox's checkout"
        return Result("service", "warn", f"none runs, and {UNIT} is not installed", mend)
    found = judge_unit(told)
    if found.state == "fail" and (words := last_words()):
        return replace(found, seen=f"{found.seen}; last words: {words}")
    if found.state == "ok" and running and running.get("state") == "paused":
        return _judge_pause(running, "sudo serenbox resume")
    return found


def judge_unit(found: Mapping[str, str]) -> Result:
    """Judge what systemd says of the unit.

    Args:
        found: `_PROPERTIES` by name; empty if systemd could not be asked.

    """
    state, restarts = found.get("ActiveState", ""), found.get("NRestarts", "0")
    if state == "active":
        since = "" if restarts == "0" else f"; restarts by systemd so far: {restarts}"
        return Result("service", "ok", f"{UNIT} is active{since}")
    mend = f"journalctl --unit {UNIT} --lines 50"
    if state == "failed":
        return Result("service", "fail", f"{UNIT} has failed{_how_it_ended(found)}", mend)
    # It ended by itself, and is now between two starts or, below, starting again.
    if found.get("SubState", "").startswith("auto-restart"):
        seen = f"{UNIT} ends by itself{_how_it_ended(found)}; restarts so far: {restarts}"
        return Result("service", "fail", seen, mend)
    if state == "activating" and restarts != "0":
        seen = f"{UNIT} has ended by itself, and is being started; restarts so far: {restarts}"
        return Result("service", "fail", seen, mend)
    if state in {"activating", "reloading", "deactivating"}:
        mend = f"systemctl status {UNIT}"
        return Result(
            "service", "warn", f"{UNIT} is {state}: it may be waiting for its camera", mend
        )
    mend = f"sudo systemctl enable --now {UNIT}"
    if found.get("LoadState") == "masked":
        seen = f"{UNIT} is masked: nothing can start it"
        return Result("service", "warn", seen, f"sudo systemctl unmask {UNIT} && {mend}")
    return Result("service", "warn", f"{UNIT} is {state or 'unknown'}: it is not sensing", mend)


def _judge_process(running: Mapping[str, Any]) -> Result:
    """Judge a service that runs although systemd has not started it."""
    if running.get("state") == "paused":
        return _judge_pause(running, "serenbox resume")
    seen = (
        f"process {running.get('pid')}, a `serenbox run` that systemd has not started; what it was "
        "started with is not known"
    )
    return Result("service", "ok", seen)


def _judge_pause(running: Mapping[str, Any], mend: str) -> Result:
    seen = "paused: its camera stays closed until somebody resumes it"
    problem = running.get("problem")
    if problem:  # a paused camera is meant to stay closed after a restart, too
        seen += f"; {problem}"
    return Result("service", "fail" if problem else "warn", seen, mend)


def _how_it_ended(found: Mapping[str, str]) -> str:
    result, status = found.get("Result", ""), found.get("ExecMainStatus", "")
    if result in {"exit-code", "success"}:
        return f" (exit status {status})"
    if result in {"signal", "core-dump"}:
        return f" (signal {status})"
    return f" ({result})" if result else ""

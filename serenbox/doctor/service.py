"""Checks of what runs: the broker and the unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.doctor.reach import LOCAL, Reach
from serenbox.doctor.result import Result
from serenbox.doctor.systemd import UNIT, ask_systemctl, runs_here

if TYPE_CHECKING:
    from serenbox.doctor.roots import Roots
    from serenbox.settings.schema import MqttSettings


def check_broker(settings: MqttSettings, reach: Reach | None = None) -> Result:
    """Look whether the broker takes connections, and those of the service, too; nothing is sent.

    Args:
        settings: Where it is, and whether it is used at all.
        reach: What the service may reach; everything if None.

    """
    if not settings.enabled:
        return Result("broker", "ok", "not used: mqtt.enabled is false")
    mend = f"ping -c 3 {settings.host}"
    if settings.host in LOCAL:
        mend = "sudo apt install mosquitto && sudo systemctl restart mosquitto"
    return (reach or Reach()).check("broker", settings.host, settings.port, mend)


def check_unit(roots: Roots) -> Result:
    """Ask systemd how the service is."""
    if not runs_here(roots):
        return Result("service", "ok", "systemd does not run here, so there is none")
    return judge_unit(ask_systemctl("is-active"))


def judge_unit(state: str) -> Result:
    """Judge what `systemctl is-active` answers; empty where it could not be asked."""
    if state == "active":
        return Result("service", "ok", f"{UNIT} is active")
    if state == "failed":
        mend = f"journalctl --unit {UNIT} --lines 50"
        return Result("service", "fail", f"{UNIT} has failed", mend)
    if state in {"activating", "reloading", "deactivating"}:
        mend = f"systemctl status {UNIT}"
        return Result("service", "warn", f"{UNIT} is {state}: it may wait for its camera", mend)
    mend = f"sudo systemctl enable --now {UNIT}"
    return Result("service", "warn", f"{UNIT} is {state or 'unknown'}: it does not sense", mend)

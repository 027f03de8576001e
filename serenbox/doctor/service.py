"""Checks of what runs: the broker and the unit."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.addresses import host_and_port
from serenbox.doctor.firewall import Firewall, can_look_up
from serenbox.doctor.result import Result
from serenbox.doctor.systemd import UNIT, ask_systemctl, command_that_adds, runs_here
from serenbox.errors import reason_of

if TYPE_CHECKING:
    from serenbox.doctor.roots import Roots
    from serenbox.settings.schema import MqttSettings

_LOCAL = ("localhost", "127.0.0.1", "::1")


def check_broker(
    settings: MqttSettings,
    timeout: float = 3.0,
    firewall: Firewall | None = None,
    etc: Path = Path("/etc"),
) -> Result:
    """Look whether the broker takes connections, and those of the service, too; nothing is sent.

    Args:
        settings: Where it is, and whether it is used at all.
        timeout: Seconds to wait for an answer.
        firewall: What the service may reach; everything if None.
        etc: The folder in which the system keeps what it knows of names.

    """
    if not settings.enabled:
        return Result("broker", "ok", "not used: mqtt.enabled is false")
    place = host_and_port(settings.host, settings.port)
    try:
        with socket.create_connection((settings.host, settings.port), timeout) as connection:
            address = str(connection.getpeername()[0]).partition("%")[0]
    # No name at all, such as one with two dots in a row, is a UnicodeError.
    except (OSError, UnicodeError) as error:
        reason = reason_of(error)
        if settings.host in _LOCAL:
            mend = "sudo apt install mosquitto && sudo systemctl restart mosquitto"
        else:
            mend = f"ping -c 3 {settings.host}"
        return Result("broker", "fail", f"{place} takes no connections ({reason})", mend)
    return _judge_reach(settings.host, place, address, firewall or Firewall(), etc)


def _judge_reach(host: str, place: str, address: str, firewall: Firewall, etc: Path) -> Result:
    """Judge whether the service reaches a broker that whoever runs the check has reached."""
    if not firewall.lets_through(address):
        seen = f"{place} takes connections, but {UNIT} may not reach {address}"
        mend = command_that_adds(f"IPAddressAllow={address}", f"reach-{address}")
        return Result("broker", "fail", seen, mend)
    if not can_look_up(host, etc, firewall):
        seen = f"{place} takes connections, but {UNIT} may ask nobody for the address of {host}"
        return Result("broker", "fail", seen, f"echo '{address} {host}' | sudo tee -a /etc/hosts")
    return Result("broker", "ok", f"{place} takes connections")


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

"""Whether a place in the network can be reached, by the user who asks and by the service."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

from serenbox.addresses import host_and_port
from serenbox.doctor.firewall import Firewall, can_look_up
from serenbox.doctor.result import Result
from serenbox.doctor.systemd import UNIT, command_that_adds
from serenbox.errors import reason_of

_TIMEOUT = 3.0
"""Seconds to wait for an answer."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What decides what the service can reach.

    Attributes:
        firewall: What its unit lets through; everything by default.
        etc: The folder of `hosts` and of the other files on how names are looked up.

    """

    firewall: Firewall = field(default_factory=Firewall)
    etc: Path = Path("/etc")

    def check(self, name: str, host: str, port: int, mend: str) -> Result:
        """Check that a place takes connections, also those of the service; nothing is sent.

        Args:
            name: What is checked.
            host: A name or an address.
            port: 1 to 65535.
            mend: The command to suggest if it takes none.

        """
        place = host_and_port(host, port)
        try:
            with socket.create_connection((host, port), _TIMEOUT) as connection:
                address = str(connection.getpeername()[0]).partition("%")[0]
        # An impossible name, such as one with two dots in a row, raises UnicodeError.
        except (OSError, UnicodeError) as error:
            reason = reason_of(error)
            return Result(name, "fail", f"{place} takes no connections ({reason})", mend)
        if not self.firewall.lets_through(address):
            seen = f"{place} takes connections, but {UNIT} may not reach {address}"
            mend = command_that_adds(f"IPAddressAllow={address}", f"reach-{address}")
            return Result(name, "fail", seen, mend)
        if not can_look_up(host, self.etc, self.firewall):
            seen = f"{place} takes connections, but {UNIT} may not look up the address of {host}"
            mend = f"echo '{address} {host}' | sudo tee -a /etc/hosts"
            return Result(name, "fail", seen, mend)
        return Result(name, "ok", f"{place} takes connections")

"""Whether the unit lets the service's packets through; at first it does so on the box alone."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.doctor.systemd import ask_properties, runs_here
from serenbox.system_text import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from serenbox.doctor.roots import Roots

_ALLOWED, _DENIED = "IPAddressAllow", "IPAddressDeny"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Firewall:
    """Where packets of a unit may go, as `systemd.resource-control(5)` has it.

    Attributes:
        allowed: Networks whose packets pass, whatever else is said of them.
        denied: Networks whose packets do not pass otherwise.

    """

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()

    @classmethod
    def of_properties(cls, values: Mapping[str, str]) -> Firewall:
        """Read what systemd tells of a unit, such as `{"IPAddressDeny": "::/0 0.0.0.0/0"}`."""
        allowed, denied = (tuple(_networks(values.get(key, ""))) for key in (_ALLOWED, _DENIED))
        return cls(allowed, denied)

    def lets_through(self, address: str) -> bool:
        """Tell whether packets to an address pass; of what is no address, nothing is known."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return True
        if any(found in network for network in self.allowed):
            return True
        return not any(found in network for network in self.denied)


def unit_firewall(roots: Roots) -> Firewall:
    """Ask systemd what the unit may reach: everything where there is no systemd or no unit."""
    if not runs_here(roots):
        return Firewall()
    return Firewall.of_properties(ask_properties(_ALLOWED, _DENIED))


def can_look_up(host: str, etc: Path, firewall: Firewall) -> bool:
    """Tell whether the service gets the address of a name.

    It does where that needs no packet: for an address, a line of `hosts`, and where Avahi
    (`.local`) or systemd-resolved answers through a socket. Else a name server of `resolv.conf`
    must be in reach.

    Args:
        host: A name or an address.
        etc: The folder of these files.
        firewall: What the service may reach.

    """
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    name = host.lower()
    known = {word.lower() for words in _lines(etc / "hosts") for word in words[1:]}
    if name in known or name == "localhost" or name.endswith(".local"):
        return True
    if any(words[0] == "hosts:" and "resolve" in words for words in _lines(etc / "nsswitch.conf")):
        return True
    servers = [words[1] for words in _lines(etc / "resolv.conf") if words[0] == "nameserver"]
    return not servers or any(firewall.lets_through(server) for server in servers)


def _networks(text: str) -> Iterator[Network]:
    for word in text.split():
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(word)


def _lines(path: Path) -> Iterator[list[str]]:
    """Return the words of each line that has two or more, without comments."""
    for line in text_of(path).splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            yield words

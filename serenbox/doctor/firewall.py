"""Whether the unit lets the service's packets through; by default, only within the box."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.addresses import is_ip_address
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
    """Where packets of a unit may go, as in `systemd.resource-control(5)`.

    Attributes:
        allowed: Networks whose packets pass, even if they are denied as well.
        denied: Networks whose packets do not pass unless they are allowed.

    """

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()

    @classmethod
    def of_properties(cls, values: Mapping[str, str]) -> Firewall:
        """Read the properties of a unit, such as `{"IPAddressDeny": "::/0 0.0.0.0/0"}`."""
        allowed, denied = (tuple(_networks(values.get(key, ""))) for key in (_ALLOWED, _DENIED))
        return cls(allowed, denied)

    def lets_through(self, address: str) -> bool:
        """Return whether packets to an address pass; true for what is not an address."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return True
        if any(found in network for network in self.allowed):
            return True
        return not any(found in network for network in self.denied)


def unit_firewall(roots: Roots) -> Firewall:
    """Ask systemd what the unit may reach: everything if there is no systemd or no unit."""
    if not runs_here(roots):
        return Firewall()
    return Firewall.of_properties(ask_properties(_ALLOWED, _DENIED))


def can_look_up(host: str, etc: Path, firewall: Firewall) -> bool:
    """Return whether the service can look up the address of a name.

    It can if that needs no packet: for an address, for a name in `hosts`, and where Avahi
    (`.local`) or systemd-resolved answers through a socket. Otherwise a name server of
    `resolv.conf` must be within reach.

    Args:
        host: A name or an address.
        etc: The folder of these files.
        firewall: What the service may reach.

    """
    if is_ip_address(host):
        return True
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
    """Yield the words of each line that has two or more, without comments."""
    for line in text_of(path).splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            yield words

"""Ports to listen on."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

_LOWEST = 20_000


def free_port() -> int:
    """Return a free TCP port of the loopback that the system does not give to clients.

    The system gives clients ports from a certain range. A server that is restarted on one of those
    may find it taken by any local client, even by one that tries to reach the server.
    """
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first_given = int(given.read_text().split()[0]) if given.exists() else 32_768
    while True:
        port = _LOWEST + secrets.randbelow(first_given - _LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

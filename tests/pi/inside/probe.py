"""Tries what a sandbox must refuse or allow, as the user who runs it; prints one JSON object.

Run as the unit's ExecStartPre, it is in the unit's sandbox; run outside, it shows what would be
possible without one.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_TO_ALL = Path("/var/lib/open-to-all")
"""A folder that everybody may write to."""
FOR_VIDEO = Path("/opt/pi-lab/for-video")
"""A file that only members of the group video may read."""
NEIGHBOUR, OTHER = "10.99.0.2", "10.99.0.3"
"""Addresses beyond loopback to which there is a route."""


def outcome(action: Callable[[], object]) -> str:
    """Return "done", or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def packet_to(address: str) -> None:
    """Send one packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (address, 9))


def try_all() -> dict[str, str]:
    """Return the outcome of each attempt by its name."""
    state = os.environ.get("STATE_DIRECTORY", "/var/lib/serenbox")
    return {
        "user": str(os.getuid()),
        "write elsewhere": outcome(lambda: (OPEN_TO_ALL / "probe").write_text("")),
        "write state": outcome(lambda: Path(state, "probe").write_text("")),
        "remove from state": outcome(lambda: Path(state, "probe").unlink()),
        "packet to neighbour": outcome(lambda: packet_to(NEIGHBOUR)),
        "packet to other": outcome(lambda: packet_to(OTHER)),
        "packet to loopback": outcome(lambda: packet_to("127.0.0.1")),
        "read as group video": outcome(FOR_VIDEO.read_bytes),
    }


if __name__ == "__main__":
    print("probe:" + json.dumps(try_all()), file=sys.stderr, flush=True)

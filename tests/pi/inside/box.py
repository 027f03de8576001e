"""How the checks talk to systemd, to the unit and to the machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

UNIT = "serenbox.service"
CONFIG = Path("/etc/serenbox/serenbox.toml")
DROP_INS = Path(f"/etc/systemd/system/{UNIT}.d")
SOURCE = Path("/opt/pi-lab/systemd")
PROBE = "/opt/pi-lab/tests/pi/inside/probe.py"
NEIGHBOUR = "10.99.0.2"
OWN = "10.99.0.1"
"""This machine's own address beyond loopback."""
PATIENCE = 60.0
"""Seconds to wait for something that should happen."""


def command(*words: str, check: bool = True) -> str:
    """Run a command and return what it prints on standard output."""
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(words)} says {result.stdout}{result.stderr}")
    return result.stdout.strip()


def prop(name: str) -> str:
    """Return a property of the unit."""
    return command("systemctl", "show", "--property", name, "--value", UNIT)


def wait_until(what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def is_active() -> bool:
    return prop("ActiveState") == "active"


def restart() -> None:
    command("systemctl", "restart", UNIT)


def journal_since(start: float) -> str:
    command("journalctl", "--sync")
    return command("journalctl", "--unit", UNIT, "--since", f"@{start:.3f}", "--output", "cat")


def all_files() -> set[Path]:
    """Return every path that an installation could leave behind."""
    found: set[Path] = set()
    for top in ("/etc", "/opt", "/usr", "/var", "/run", "/home", "/root", "/srv"):
        for folder, folders, files in os.walk(top):
            # The journal and systemd's own books are not the installation's.
            own = ("/var/log", "/run/log", "/run/systemd", "/var/lib/systemd", "/run/credentials")
            if folder.startswith(own) or "__pycache__" in folder:
                folders.clear()
                continue
            found.update(Path(folder, name) for name in (*folders, *files))
    copies = {Path("/etc", f"{name}-") for name in ("passwd", "shadow", "group", "gshadow")}
    return found - copies - {Path("/etc/.pwd.lock"), Path("/run/agetty.reload")}


def prepare_temptations() -> None:
    """Make what the probe reaches for, and can reach without a sandbox."""
    folder = Path("/var/lib/open-to-all")
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "probe").touch()
    (folder / "probe").chmod(0o666)
    secret = Path("/opt/pi-lab/for-video")
    secret.write_text("")
    command("chgrp", "video", str(secret))
    secret.chmod(0o640)
    command("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    command("ip", "address", "add", f"{OWN}/24", "dev", "lan0")
    for name in ("lan0", "lan1"):
        command("ip", "link", "set", name, "up")


def probe_in_the_unit() -> dict[str, Any]:
    """Run the probe as the unit's first command; return its outcomes."""
    drop_in = DROP_INS / "probe.conf"
    drop_in.write_text(f"[Service]\nExecStartPre=/usr/bin/python3 {PROBE}\n")
    start = time.time()
    command("systemctl", "daemon-reload")
    restart()
    drop_in.unlink()
    command("systemctl", "daemon-reload")
    lines = [line for line in journal_since(start).splitlines() if line.startswith("probe:")]
    assert lines, journal_since(start)
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("probe:"))
    return found

"""Checks of the machine: its temperature, its throttling, and the room on its disk."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from serenbox.daemon.health import temperature_c, throttled_file
from serenbox.daemon.volatile import why_lost
from serenbox.doctor.result import Result
from serenbox.errors import reason_of
from serenbox.system_text import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.doctor.result import State
    from serenbox.doctor.roots import Roots

_WARM, _HOT = 75.0, 85.0
"""Degrees Celsius. A Raspberry Pi slows itself down from 80, and hard from 85."""
_LITTLE_ROOM, _NO_ROOM = 100 << 20, 5 << 20

_ASK = "vcgencmd get_throttled"
_THROTTLED_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft limit"}
"""Bits of the Raspberry Pi's firmware for now; 16 higher, the same for the time since boot
(https://www.raspberrypi.com/documentation/computers/os.html#get_throttled)."""


def check_temperature(roots: Roots) -> Result:
    """Check how hot the processor is, or the hottest zone if none is the processor's."""
    zones = []
    for folder in sorted((roots.sys / "class" / "thermal").glob("thermal_zone*")):
        degrees = temperature_c(folder / "temp")
        if degrees is not None:
            zones.append((text_of(folder / "type") or folder.name, degrees))
    if not zones:
        return Result("temperature", "ok", "this machine does not report it")
    processor = [zone for zone in zones if "cpu" in zone[0]]
    kind, degrees = max(processor or zones, key=lambda zone: zone[1])
    seen = f"{degrees:.0f} °C ({kind})"
    if degrees < _WARM:
        return Result("temperature", "ok", seen)
    state: State = "fail" if degrees >= _HOT else "warn"
    seen += ": let it cool down, and give it air or a heat sink"
    return Result("temperature", state, seen, "sudo systemctl stop serenbox")


def check_throttling(answer: str | None) -> Result:
    """Judge the firmware's report on throttling.

    Args:
        answer: Such as "throttled=0x50005" or "50005"; None if there is nothing to ask.

    """
    name = "throttling"
    if answer is None:
        return Result(name, "ok", "not known: not a Raspberry Pi, or vcgencmd is missing")
    try:
        bits = int(answer.strip().removeprefix("throttled="), 16)
    except ValueError:
        return Result(name, "warn", f"the firmware answers {answer.strip()!r}", _ASK)
    now = [text for bit, text in _THROTTLED_BITS.items() if bits >> bit & 1]
    before = [text for bit, text in _THROTTLED_BITS.items() if bits >> bit + 16 & 1]
    if now:
        return Result(name, "warn", f"now: {', '.join(now)}", _ASK)
    if before:
        return Result(name, "warn", f"not now, but since the start: {', '.join(before)}", _ASK)
    return Result(name, "ok", "none since the start")


def ask_firmware(roots: Roots) -> str | None:
    """Return the firmware's report on throttling, from /sys or vcgencmd; None without an answer."""
    with contextlib.suppress(OSError):
        return throttled_file(roots.sys).read_text("ascii", "replace")
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    command = [program, "get_throttled"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout


def check_disk(folder: Path) -> Result:
    """Check the disk of the state folder or, if that is missing, of the folder it would be in."""
    # Not Path.exists(), which raises where a folder may not be looked into.
    candidates = (folder, *folder.parents)
    place = next((path for path in candidates if os.path.exists(path)), folder)  # noqa: PTH110
    try:
        found = os.statvfs(place)
    except OSError as error:
        return Result("disk", "fail", f"{place}: {reason_of(error)}", f"ls -ld {place}")
    if found.f_flag & os.ST_RDONLY:
        seen = f"{place} is on a file system that is mounted read-only: nothing can be kept there"
        mount = f'"$(findmnt --noheadings --output TARGET --target {shlex.quote(str(place))})"'
        return Result("disk", "fail", seen, f"sudo mount -o remount,rw {mount}")
    room = judge_room(found.f_bavail * found.f_frsize, place)
    lost = why_lost(folder)
    if lost is None or room.state != "ok":
        return room
    return Result("disk", "warn", lost, f"findmnt --target {shlex.quote(str(place))}")


def judge_room(free: int, folder: Path) -> Result:
    """Judge the free bytes of the disk that a folder is on."""
    seen = f"{free >> 20} MiB free at {folder}"
    if free >= _LITTLE_ROOM:
        return Result("disk", "ok", seen)
    state: State = "fail" if free < _NO_ROOM else "warn"
    return Result("disk", state, seen, "sudo apt clean && sudo journalctl --vacuum-size=50M")

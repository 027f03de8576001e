"""How the box itself is doing, as reported by Linux: temperature, throttling, memory."""

from __future__ import annotations

import os
from pathlib import Path

from serenbox.system_text import text_of

_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
_MEMORY = Path("/proc/self/statm")

_THROTTLED = "devices/platform/{soc}/{soc}:firmware/get_throttled"
"""Below /sys. The chip is just `soc`, or its name contains its address: `soc@107c000000`."""

_SLOWED_NOW = 0b1111
"""The Raspberry Pi firmware's bits for the present: low voltage, frequency capped, throttled, soft
temperature limit. The upper half shows what has happened since it started."""


def temperature_c(path: Path = _TEMPERATURE) -> float | None:
    """Return the processor's temperature, degrees Celsius; None if unknown."""
    try:
        return int(text_of(path)) / 1000
    except ValueError:
        return None


def throttled_file(sys: Path = Path("/sys")) -> Path:
    """Return where the Raspberry Pi firmware tells of throttling; elsewhere there is no such file.

    Args:
        sys: Where sysfs is mounted.

    """
    found = sorted(sys.glob(_THROTTLED.format(soc="soc*")))
    return found[0] if found else sys / _THROTTLED.format(soc="soc")


def throttled(path: Path | None = None) -> bool | None:
    """Return whether heat or low voltage slows the processor now; None if unknown."""
    try:
        return bool(int(text_of(path or throttled_file()), 16) & _SLOWED_NOW)
    except ValueError:
        return None


def memory_mb(path: Path = _MEMORY) -> float:
    """Return the resident memory of this process, millions of bytes; 0 if unknown."""
    fields = text_of(path).split()
    if len(fields) < 2 or not fields[1].isdecimal():
        return 0.0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

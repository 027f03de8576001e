"""Check of the history: whether it is kept, and whether it can be read."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from serenbox.doctor.mending import delete_history
from serenbox.doctor.result import Result
from serenbox.errors import HistoryDamagedError, HistoryError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.settings.schema import HistorySettings

_DAY = 24 * 60


def check_history(settings: HistorySettings, path: Path) -> Result:
    """Check what is kept of the moods, and for how long.

    Args:
        settings: Whether a history is to be kept.
        path: The database, which need not exist.

    """
    name = "history"
    try:
        there = path.exists()
    except OSError as error:
        look = f"ls -ld {shlex.quote(str(path.parent))}"
        return Result(name, "warn", f"{path}: it cannot be accessed ({reason_of(error)})", look)
    if not there:
        seen = "on, nothing is written yet" if settings.enabled else "off, nothing is kept"
        return Result(name, "ok", seen)
    from serenbox.history.minutes import MINUTE
    from serenbox.history.owner import as_owner
    from serenbox.history.reading import read_extent

    try:
        with as_owner(path):
            # Leave out what was kept while the clock was ahead: it would make the time seem long.
            first, last, minutes = read_extent(path, int(time.time() // MINUTE))
    except HistoryDamagedError as error:
        delete = delete_history(path.parent)
        mend = "sudo systemctl restart serenbox" if settings.enabled else delete
        return Result(name, "warn", str(error), mend)
    except HistoryError as error:
        return Result(name, "warn", str(error), f"ls -l {shlex.quote(str(path))}")
    days = (last + 1 - first) / _DAY
    seen = f"{minutes} minute{'s' * (minutes != 1)}"
    if days >= 1:
        seen += f" of {days:.1f} days"
    seen += f" in {path.stat().st_size / 1e6:.1f} MB"
    if not settings.enabled:
        seen = f"off, but what was kept is still there: {seen}"
        return Result(name, "warn", seen, delete_history(path.parent))
    return Result(name, "ok", f"on, kept for {settings.days} days: {seen}")

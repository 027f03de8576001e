"""How far the wall clock is trusted when minutes are removed: somebody may have set it wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.history.minutes import MINUTE

if TYPE_CHECKING:
    from serenbox.history.database import Database
    from serenbox.history.minutes import MinuteSums

MINUTES_PER_DAY = 24 * 60

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
"""Exists once the clock has been set from the network since the machine started; see
systemd-timesyncd.service(8). A Raspberry Pi has no battery-backed clock."""

_REST = 3600.0
"""Seconds for which nothing is removed after the clock was set ahead: that may be a mistake."""

_REST_AHEAD = 6 * _REST
"""Seconds for which no minute that lies ahead is removed after the clock was set back, or after
that was found at the start. Longer than `_REST`, as a clock need not be wrong by much for good
minutes to lie a day ahead; shorter than a day, as some boxes are switched off at night. For a clock
that is behind, every good minute lies ahead, so it must also have been set from the network."""


def compare_clock(database: Database, wall: float) -> tuple[bool, bool]:
    """Return whether the clock may have been set ahead, and back, since minutes were kept.

    It may have been set ahead if it is well after the kept minutes. Those of the last hour prove
    nothing: the clock may have been ahead then, too. It may also be right, and the box was off;
    then old minutes stay an hour longer. The clock may have been set back if minutes lie ahead, or
    it was ahead when they were kept.

    Args:
        database: The kept minutes.
        wall: Seconds since 1970.

    """
    latest = database.latest(int((wall - _REST) // MINUTE))
    ahead = latest is not None and wall - latest * MINUTE > 2 * _REST
    return ahead, database.goes_beyond(_last_to_keep(wall))


def minutes_to_keep(
    days: int, sums: MinuteSums, now: float, wall: float, *, synchronized: bool
) -> tuple[int, int | None] | None:
    """Return the first and the last minute to keep; None if nothing is to be removed.

    Args:
        days: For how many days minutes are kept.
        sums: When the clock was set.
        now: Seconds on the monotonic clock.
        wall: Seconds since 1970.
        synchronized: Whether the clock was set from the network, as far as is known.

    Returns:
        The last one is None if minutes that lie ahead may be right, and the clock wrong.

    """
    if sums.jumped_ahead is not None and now - sums.jumped_ahead < _REST:
        return None
    first = int(wall // MINUTE) - days * MINUTES_PER_DAY
    rested = sums.jumped_back is None or now - sums.jumped_back >= _REST_AHEAD
    return first, _last_to_keep(wall) if synchronized and rested else None


def _last_to_keep(wall: float) -> int:
    """Return the minute a day ahead: with a correct clock, no later one can have been kept."""
    return int(wall // MINUTE) + MINUTES_PER_DAY

"""How far the wall clock is trusted when minutes are removed: somebody may have set it wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.history.minutes import MINUTE, REST

if TYPE_CHECKING:
    from serenbox.history.database import Database
    from serenbox.history.minutes import MinuteSums

MINUTES_PER_DAY = 24 * 60

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
"""Exists once the clock has been set from the network since the machine started; see
systemd-timesyncd.service(8). A Raspberry Pi has no battery-backed clock."""

_REST_AHEAD = 6 * REST
"""Seconds for which no minute that lies ahead is removed after the clock was set back, or after
that was found at the start. Longer than `REST`, as a clock need not be wrong by much for good
minutes to lie a day ahead; shorter than a day, as some boxes are switched off at night. For a clock
that is behind, every good minute lies ahead, so it must also have been set from the network."""


def compare_clock(database: Database, wall: float) -> tuple[float | None, bool]:
    """Tell from when the clock may have been set ahead since minutes were kept, and whether back.

    It may have been set ahead if it is well after the kept minutes. Those of the last hour prove
    nothing: the clock may have been ahead then, too. It may also be right, and the box was off;
    then old minutes stay an hour longer. The clock may have been set back if minutes lie ahead, or
    it was ahead when they were kept.

    Args:
        database: The kept minutes.
        wall: Seconds since 1970.

    Returns:
        The first is None if it was not set ahead.

    """
    latest = database.latest(int((wall - REST) // MINUTE))
    before = None if latest is None else latest * MINUTE
    ahead = before is not None and wall - before > 2 * REST
    return before if ahead else None, database.goes_beyond(_last_to_keep(wall))


def minutes_to_keep(
    days: int, sums: MinuteSums, now: float, wall: float, *, synchronized: bool
) -> tuple[int, int | None] | None:
    """Return the first and the last minute to keep; None if nothing is to be removed.

    After the clock was set ahead, what was too old before that is removed all the same if the
    network has set the clock: some boxes are never on for so long that the clock is trusted again.

    Args:
        days: For how many days minutes are kept.
        sums: When the clock was set.
        now: Seconds on the monotonic clock.
        wall: Seconds since 1970.
        synchronized: Whether the clock was set from the network, as far as is known.

    Returns:
        The last one is None if minutes that lie ahead may be right, and the clock wrong.

    """
    kept = days * MINUTES_PER_DAY
    if sums.jumped_ahead is not None and now - sums.jumped_ahead < REST:
        before = min(wall, sums.before_jump)
        return (int(before // MINUTE) - kept, None) if synchronized else None
    first = int(wall // MINUTE) - kept
    rested = sums.jumped_back is None or now - sums.jumped_back >= _REST_AHEAD
    return first, _last_to_keep(wall) if synchronized and rested else None


def _last_to_keep(wall: float) -> int:
    """Return the minute a day ahead: with a correct clock, no later one can have been kept."""
    return int(wall // MINUTE) + MINUTES_PER_DAY

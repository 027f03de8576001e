"""`serenbox history`: show or remove the moods of past hours and days."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, ClassVar

from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_OK,
    Tool,
    UsageError,
    number_type,
    path_of,
    write_line,
)
from serenbox.cli.plots import check_plot, write_plot
from serenbox.daemon.paths import Paths, state_candidates
from serenbox.errors import HistoryError, ServiceError, reason_of
from serenbox.history.minutes import MINUTE
from serenbox.history.owner import as_owner
from serenbox.history.reading import read_extent, read_summaries
from serenbox.history.steps import QUARTER, Step, boundaries, gather, midnights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

_MOST_DAYS = 3650
_days = number_type(
    f"a whole number from 1 to {_MOST_DAYS}", lambda days: 1 <= days <= _MOST_DAYS, whole=True
)
_MANY_DAYS = 14
"""More days than this are drawn by the day, so that a single step can still be seen."""

_SQLITE = b"SQLite format 3\0"
"""First bytes of a database (https://sqlite.org/fileformat.html); an unwritten one is empty."""


class HistoryTool(Tool):
    """Show the moods of the last day by the hour, or of the last days by the day.

    There is a history where history.enabled is true: a summary per minute, on this box alone. The
    current minute is not in it yet.
      serenbox history --days 7
      serenbox history --csv > moods.csv
      serenbox history --plot moods.png
      serenbox history --delete

    --csv prints a row per minute: its beginning in UTC, the seconds of each mood, and the mean
    score of each emotion while a face was seen. --plot draws the last day and the last seven days,
    or as many as --days says. --delete removes all of it for good; a running service forgets it,
    too, and begins anew.

    Exit code: 0 if all is well, also where nothing is known of that time; 1 if the history cannot
    be removed; 2 if the call was wrong, there is none, or it cannot be read.
    """

    prog: ClassVar[str] = "serenbox history"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_argument
        add(
            "--days",
            metavar="N",
            type=_days,
            help="how far back (default: 1; for --plot: 1 and 7; for --csv: all)",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--csv", action="store_true", help="print a row per minute")
        what.add_argument("--plot", metavar="OUT.png", type=path_of, help="draw it")
        what.add_argument("--delete", action="store_true", help="remove all of it for good")
        add("--file", metavar="FILE", type=path_of, help="history to use instead of this box's own")

    def run(self, args: argparse.Namespace) -> int:
        """Do what was asked for."""
        if args.delete:
            return self._delete(args)
        if args.plot:
            check_plot(args.plot)
        path = args.file or _find()
        if args.csv:
            _print_csv(path, args.days)
        elif args.plot:
            _plot(path, args.days, args.plot)
        else:
            _print_table(path, args.days)
        return EXIT_OK

    def _delete(self, args: argparse.Namespace) -> int:
        from serenbox.history.removal import exists, remove

        if args.days:
            raise UsageError("--delete removes all of it: leave --days out")
        if args.file and args.file.is_dir():
            raise UsageError(f"{args.file}: it is a folder: name a file in it")
        if args.file and not exists(args.file):
            raise UsageError(f"{args.file}: there is no such history: check the name")
        path = args.file or _find()
        try:
            if args.file and path.exists():
                with as_owner(path):
                    _check_is_history(path)
            remove(path)
        except (HistoryError, ServiceError) as error:
            self.error(str(error))
            return EXIT_FAILED
        write_line("the history was removed")
        return EXIT_OK


def _check_is_history(path: Path) -> None:
    """Make sure that a file is a history before it is removed.

    Raises:
        HistoryError: It is not a history, or it cannot be read.

    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise HistoryError(f"{path}: it cannot be read ({reason_of(error)})") from error
    # SQLite is asked only after this: it removes what it takes for a database's own files.
    if start and start != _SQLITE:
        raise HistoryError(f"{path}: it is not a SerenBox history, so it is not removed")
    read_extent(path)


def _find() -> Path:
    """Return this box's history.

    Raises:
        HistoryError: There is none, or it is in a folder that this user may not look into.

    """
    from serenbox.history.removal import exists

    candidates = [Paths(folder, folder).history for folder in state_candidates()]
    for path in candidates:
        if exists(path):
            return path
        if path.parent.is_dir() and not os.access(path.parent, os.R_OK | os.X_OK):
            raise HistoryError(f"you may not look into {path.parent}: use sudo")
    places = " and ".join(str(path) for path in candidates)
    raise HistoryError(
        f"there is no history (looked for {places}): it is kept if history.enabled is true; each "
        "minute is written when it ends"
    )


def _print_table(path: Path, days: int | None) -> None:
    from serenbox.history.text import as_table

    now = time.time()
    edges = boundaries(now, 24, 60) if days in {None, 1} else midnights(now, days or 1)
    write_line(as_table(_steps(path, edges), now))


def _print_csv(path: Path, days: int | None) -> None:
    from serenbox.history.text import as_csv

    with as_owner(path):
        first, last, _ = read_extent(path)
        if days is not None:
            last = int(time.time() // MINUTE)
            first = last - days * 24 * 60 + 1
        for piece in as_csv(read_summaries(path, first, last + 1)):
            write_line(piece)


def _plot(path: Path, days: int | None, picture: Path) -> None:
    from serenbox.history.plot import draw_history

    now = time.time()
    quarters = ("The last day, by the quarter hour", boundaries(now, 24 * 4, QUARTER))
    if days == 1:
        wanted = [quarters]
    elif days is None:
        wanted = [quarters, ("The last seven days, by the hour", boundaries(now, 7 * 24, 60))]
    elif days <= _MANY_DAYS:
        wanted = [(f"The last {days} days, by the hour", boundaries(now, days * 24, 60))]
    else:
        wanted = [(f"The last {days} days, by the day", midnights(now, days))]
    write_plot(picture, draw_history([(title, _steps(path, edges)) for title, edges in wanted]))


def _steps(path: Path, edges: Sequence[float]) -> list[Step]:
    first, end = int(edges[0] // MINUTE), int(edges[-1] // MINUTE)
    with as_owner(path):
        parts = list(read_summaries(path, first, end, QUARTER))
    return gather(((part.minute, part.seconds) for part in parts), edges)

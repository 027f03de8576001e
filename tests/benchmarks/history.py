"""What the history costs, and whether it survives: a year of a simulated person, and SIGKILL.

`python -m tests.benchmarks.history` does all of it:

- The moods of 365 days are added up and written; the file may have 60 MB at most. The same is done
  with every number of every minute as long as it can be.
- `serenbox history --plot` draws a week, and a day and a week, each in a new process; a week may
  take a second at most.
- A process in which the service's own output writes, with minutes of 600 ms, is killed 200 times at
  random moments. After each kill the file must be whole, and hold every minute that had ended.

--kills 0 or --days 0 leaves a part out; --keep FILE keeps the year's history in FILE.
"""

from __future__ import annotations

import argparse
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from serenbox.history.database import Database
from serenbox.history.minutes import MINUTE, MinuteSums, Summary
from serenbox.history.output import AHEAD, HistoryOutput
from serenbox.history.reading import read_summaries
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS
from serenbox.settings.schema import HistorySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DAY = 24 * 60
"""Minutes."""

LARGEST_MB = 60.0
SLOWEST_PLOT = 1.0
"""Seconds."""

SPEED = 100.0
"""How many times too fast the killed process's clock runs: a minute takes 600 ms or more."""

STEP = 0.5
"""Seconds between two moods, by its own clock."""

WHOLE = MINUTE - AHEAD
"""Seconds of a minute, by its own clock, that must be in the file once the minute has ended."""

# --- a year --------------------------------------------------------------------------------------


def simulated_moods(
    begin: float, end: float, chance: random.Random
) -> Iterator[tuple[float, str, dict[str, float]]]:
    """Yield the moods of somebody who lives with the box, each a time, a label and scores.

    At night nobody is there. By day somebody is in view for 1 to 90 minutes at a time, whose mood
    changes every 10 seconds to 2 minutes. Now and then the box is paused or has no camera.
    """
    now, leaves = begin, begin
    while now < end:
        hour = now % 86400 / 3600
        label, lasts = "no_face", chance.uniform(60, 1800)
        if now < leaves:
            weights = (2, 1, 1, 9 if hour > 17 else 5, 12, 4, 2, 3)
            label = chance.choices((*EMOTIONS, "uncertain"), weights)[0]
            lasts = chance.uniform(10, 120)
        elif chance.random() < 0.01:
            label, lasts = chance.choice(("paused", "no_camera")), chance.uniform(60, 7200)
        elif 7 <= hour < 23:
            leaves = now + chance.uniform(60, 5400)
            continue
        until = min(end, now + lasts)
        while now < until:  # new scores keep coming
            yield now, label, _scores(label, chance)
            now += min(until - now, 15.0)


def _scores(label: str, chance: random.Random) -> dict[str, float]:
    if label not in (*EMOTIONS, "uncertain"):
        return dict.fromkeys(EMOTIONS, 0.0)
    values = {emotion: chance.expovariate(1) for emotion in EMOTIONS}
    if label in values:
        values[label] += 6
    whole = sum(values.values())
    return {emotion: value / whole for emotion, value in values.items()}


def write_days(path: Path, days: int, end: float, seed: int = 1) -> None:
    """Write a history of simulated days, up to `end`, through the service's own sums.

    The box is switched off for three hours every ten days, so that there are gaps.
    """
    sums, began = MinuteSums(), end - days * 86400
    with Database(path) as database:
        for number, (now, label, scores) in enumerate(
            simulated_moods(began, end, random.Random(seed))  # noqa: S311
        ):
            is_off = (now - began) % 864000 > 864000 - 10800
            sums.tell(now, now, "" if is_off else label, scores)
            if number % 2000 == 0:
                database.add(sums.take_finished())
        sums.count(end, end)
        database.add(sums.take_finished())


def write_longest(path: Path, days: int) -> None:
    """Write minutes of which every number needs as much room as it can."""
    longest = (60.0,) * (len(MOOD_LABELS) + len(EMOTIONS))
    with Database(path) as database:
        for day in range(days):
            minutes = range(30_000_000 + day * DAY, 30_000_000 + (day + 1) * DAY)
            database.add(
                Summary(minute, longest[: len(MOOD_LABELS)], longest[len(MOOD_LABELS) :])
                for minute in minutes
            )


def plot_seconds(path: Path, picture: Path, *arguments: str) -> tuple[float, float]:
    """Return the seconds that a whole `serenbox history --plot` takes, and its processor time."""
    command = [sys.executable, "-m", "serenbox.cli.main", "history", "--file", str(path)]
    return _process_seconds([*command, "--plot", str(picture), *arguments])


def _process_seconds(command: Sequence[str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# --- kills ---------------------------------------------------------------------------------------


@dataclass
class Kills:
    """The outcome of killing the writer again and again."""

    count: int = 0
    ended: int = 0
    """Minutes that had ended before a kill."""
    minutes: int = 0
    """Minutes that are in the file at the end, unfinished ones included."""
    lost: int = 0
    """Minutes that had ended and of which too little is in the file, or nothing."""
    shortened: int = 0
    """Minutes that had ended and of which some of the last two seconds are not in the file."""
    problems: list[str] = field(default_factory=list)


def kill_again_and_again(path: Path, times: int, speed: float = SPEED, seed: int = 1) -> Kills:
    """Kill a process that writes a history this many times; check the file after each kill."""
    chance, outcome = random.Random(seed), Kills()  # noqa: S311
    kept: dict[int, Summary] = {}
    for number in range(times):
        first = 29_000_000 + number * DAY
        ended, written = _kill_once(path, first, speed, chance)
        outcome.count += 1
        if problem := damage(path):
            outcome.problems.append(f"kill {number}: {problem}")
            return outcome
        found = {one.minute: one for one in read_summaries(path, first, first + DAY)}
        outcome.problems += [f"kill {number}: {text}" for text in _judge(first, found, written)]
        known = [found[minute].known if minute in found else 0.0 for minute in ended]
        outcome.ended += len(ended)
        outcome.lost += sum(seconds < WHOLE for seconds in known)
        outcome.shortened += sum(WHOLE <= seconds < MINUTE - 0.01 for seconds in known)
        kept |= found
    if outcome.lost:
        outcome.problems.append(f"{outcome.lost} minutes that had ended are lost")
    outcome.minutes = len(kept)
    if kept != {one.minute: one for one in read_summaries(path, 0, 1 << 40)}:
        outcome.problems.append("what one kill had spared has changed later")
    return outcome


def damage(path: Path) -> str | None:
    """Return what SQLite finds wrong with the file, None if nothing."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            found = connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError as error:
            return str(error)
    return None if found == [("ok",)] else str(found)


def _judge(first: int, found: dict[int, Summary], written: int) -> Iterator[str]:
    """Yield what is wrong with the minutes of one process that reported `written` of them."""
    if len(found) < written:
        yield f"{written} minutes were written, and {len(found)} are there"
    if list(found) != list(range(first, first + len(found))):
        yield f"a minute is missing between others: {list(found)}"
    last = max(found, default=None)
    for summary in found.values():
        least = WHOLE if summary.minute == last else MINUTE
        if not least - 0.01 <= summary.known <= MINUTE + 0.01:
            yield f"minute {summary.minute - first} has {summary.known:.3f} s"


def _kill_once(
    path: Path, first: int, speed: float, chance: random.Random
) -> tuple[list[int], int]:
    """Return which minutes had ended when the writer was killed, and how many were written."""
    command = [sys.executable, "-m", *writing(path, first, speed, STEP)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        lines = [writer.stdout.readline()]  # it has begun
        reader = threading.Thread(target=_read, args=(writer.stdout, lines))
        reader.start()
        time.sleep(chance.uniform(0.1, 4 * MINUTE / speed))
        writer.kill()
        reader.join()
    words = [line.decode().split() for line in lines]
    ended = [int(word[1]) for word in words if word[0] == "ended"]
    return ended, max([0, *(int(word[1]) for word in words if word[0] == "written")])


def _read(stream: IO[bytes], lines: list[bytes]) -> None:
    lines += (line for line in stream if line.endswith(b"\n"))


def writing(path: Path, first: int, speed: float, step: float) -> list[str]:
    """Return the module and the arguments of a process that runs `write_for_ever`."""
    return ["tests.benchmarks.history", "--write", str(path), str(first), str(speed), str(step)]


def write_for_ever(path: Path, first: int, speed: float, step: float) -> None:
    """Write a history, minute by minute; print which have ended, and how many are written.

    Only the clocks differ from the service's: they advance with each mood.
    """
    chance, now = random.Random(first), 0.0  # noqa: S311
    output = HistoryOutput(
        HistorySettings(days=3650), path, clock=lambda: now, wall=lambda: first * MINUTE + now
    )
    output.start()
    print("begun", flush=True)
    minute = told = 0
    while True:
        label = chance.choice(MOOD_LABELS)
        output.mood({"mood": label, "scores": _scores(label, chance)})
        if now >= (minute + 1) * MINUTE:
            print(f"ended {first + minute}", flush=True)
            minute += 1
        written = output.health()["published"]
        if written > told:
            told = written
            print(f"written {written}", flush=True)
        time.sleep(step / speed)
        now += step


# --- all of it -----------------------------------------------------------------------------------


def measure_year(folder: Path, days: int, keep: Path | None) -> bool:
    """Print what a year costs; tell whether that is little enough."""
    year, picture = keep or folder / "year.db", folder / "year.png"
    began = time.perf_counter()
    write_days(year, days, time.time())
    size = year.stat().st_size / 1e6
    print(f"{days} simulated days, written in {time.perf_counter() - began:.0f} s: {size:.1f} MB")
    write_longest(folder / "longest.db", days)
    longest = (folder / "longest.db").stat().st_size / 1e6
    print(f"every number of every minute as long as can be: {longest:.1f} MB")
    week = _print_plot(
        "`serenbox history --plot` of a week",
        lambda: plot_seconds(year, picture, "--days", "7"),
    )
    _print_plot("the same of a day and a week", lambda: plot_seconds(year, picture))
    bare = [sys.executable, "-c", "import matplotlib.figure"]
    _print_plot("a process that only imports matplotlib", lambda: _process_seconds(bare))
    return max(size, longest) <= LARGEST_MB and week <= SLOWEST_PLOT


def _print_plot(what: str, measure: Callable[[], tuple[float, float]]) -> float:
    """Print how long something takes in eleven processes; return the median."""
    times = [measure() for _ in range(11)]
    took = [seconds for seconds, _ in times]
    processor = statistics.median(seconds for _, seconds in times)
    print(
        f"{what}: median {statistics.median(took):.2f} s ({min(took):.2f} to {max(took):.2f}), "
        f"{processor:.2f} s of the processor"
    )
    return statistics.median(took)


def measure_kills(folder: Path, times: int) -> bool:
    """Print what killing does; return whether nothing is wrong."""
    outcome = kill_again_and_again(folder / "killed.db", times)
    print(
        f"{outcome.count} kills: {outcome.ended} minutes had ended, {outcome.lost} of them are "
        f"lost; {outcome.shortened} lack some of their last {AHEAD:.0f} seconds"
    )
    print("\n".join(outcome.problems) or "no file was damaged")
    return not outcome.problems


def main() -> int:
    """Measure; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=365, help="default: 365")
    parser.add_argument("--kills", type=int, default=200, help="default: 200")
    parser.add_argument("--keep", metavar="FILE", type=Path, help="where to leave the year")
    parser.add_argument("--write", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        path, first, speed, step = args.write
        write_for_ever(Path(path), int(first), float(speed), float(step))
    if args.keep and args.keep.exists():
        parser.error(f"{args.keep} is there already: name another file")
    well = True
    with tempfile.TemporaryDirectory(prefix="serenbox-history-") as folder:
        if args.days:
            well = measure_year(Path(folder), args.days, args.keep)
        if args.kills:
            well = measure_kills(Path(folder), args.kills) and well
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())

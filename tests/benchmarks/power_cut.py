"""Whether the history survives a loss of power, by cutting off a recorded run in thousands of ways.

A process in which the service's own output writes is traced by strace: every write to the database
and its log, every sync, and what it says it has written. Then the disk is put together as a loss of
power at some moment might leave it: what was synced is there; of anything later, sectors of 512
bytes are there or not, in any combination. SQLite must find each such file whole, and it must hold
every minute that the process had said was written.

Run it with `python -m tests.benchmarks.power_cut --cuts 3000`.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.errors import HistoryError
from serenbox.history.database import Database
from serenbox.history.reading import read_extent
from tests.benchmarks.history import damage, writing
from tests.daemon_process import wait_for
from tests.mosquitto import required_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECTOR = 512
MINUTES = 1000
"""Minutes to record: the log is written back to the database every few hundred."""

FIRST = 29_000_000

FILES = ("", "-wal", "-journal")
"""The suffixes of SQLite's files: the database, its write-ahead log, its rollback journal."""

_CALL = re.compile(
    r"(?P<pid>\d+) +(?P<name>pwrite64|ftruncate|fdatasync|fsync|write|unlink)"
    r"\((?:(?P<fd>\d+)<(?P<path>[^>]*)>)?(?P<rest>.*)"
)
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (fdatasync|fsync) resumed>\) += 0")
_WRITE = re.compile(r', "(?P<data>(?:\\x..)*)", (?P<size>\d+), (?P<offset>\d+)')


@dataclass(frozen=True, slots=True)
class Step:
    """Something the process did: `write`, `truncate`, `sync` or `unlink` a file, or `told`."""

    kind: str
    file: str = ""
    """What its name adds to the database's; `/` for the folder."""
    data: bytes = b""
    number: int = 0
    """Where to write, the length to cut to, or how many minutes are written."""


@dataclass
class DiskFile:
    """A file: what is surely on the disk, and what may be."""

    synced: bytearray = field(default_factory=bytearray)
    later: list[Step] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Apply a step. A removed file comes back unless its folder is synced afterwards."""
        if step.file == "/":
            if any(each.kind == "unlink" for each in self.later):
                self.synced, self.later = bytearray(), []
        elif step.kind == "sync":
            self.synced = self.after_cut(random.Random(0), 1.0)  # noqa: S311
            self.later = []
        else:
            self.later.append(step)

    def after_cut(self, chance: random.Random, share: float) -> bytearray:
        """Return what may be on the disk, with about this share of what was not synced."""
        content = bytearray(self.synced)
        for step in self.later:
            if step.kind in {"truncate", "unlink"}:  # an empty file counts as missing
                if chance.random() < share:
                    del content[step.number :]
                continue
            for begin in range(0, len(step.data), SECTOR):
                if chance.random() < share:
                    _put(content, step.number + begin, step.data[begin : begin + SECTOR])
        return content


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def record(path: Path, trace: Path, minutes: int) -> list[Step]:
    """Let a process write this many minutes; return what it did."""
    calls = "trace=pwrite64,ftruncate,fdatasync,fsync,write,unlink"
    options = ("-D", "-f", "-q", "-y", "-xx", "-s", "1000000", "-e", calls)
    writer = ("-m", *writing(path, FIRST, speed=10_000, step=7))
    command = [required_program("strace"), *options, "-o", str(trace), sys.executable, *writer]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(b"written") and int(line.split()[1]) >= minutes:
                break
        process.kill()
    # strace writes its last lines a little later.
    ended = re.compile(rf"^{process.pid} +\+\+\+ killed", re.MULTILINE)
    wait_for(lambda: ended.search(trace.read_text()), "the end of the trace")
    return list(_steps(trace.read_text(), str(path)))


def _steps(trace: str, path: str) -> Iterator[Step]:
    """Yield what a trace shows of the database, its log, and standard output."""
    syncing: dict[str, str] = {}
    for line in trace.splitlines():
        if resumed := _RESUMED.match(line):
            if resumed["pid"] in syncing:
                yield Step("sync", syncing.pop(resumed["pid"]))
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        if call["fd"] == "1" and call["name"] == "write":
            told = re.findall(r"written (\d+)", _bytes(call["rest"]).decode())
            yield from (Step("told", number=int(minutes)) for minutes in told)
        file = _bytes(call["path"] or call["rest"]).decode()
        name = "/" if file == str(Path(path).parent) else file.removeprefix(path)
        if name not in {*FILES, "/"}:
            continue
        if "sync" in call["name"] and "unfinished" in call["rest"]:
            syncing[call["pid"]] = name
        else:
            yield _step(call, name)


def _step(call: re.Match[str], name: str) -> Step:
    if "sync" in call["name"]:
        return Step("sync", name)
    if call["name"] == "unlink":
        return Step("unlink", name)
    if call["name"] == "ftruncate":
        return Step("truncate", name, number=int(re.findall(r"\d+", call["rest"])[0]))
    written = _WRITE.match(call["rest"])
    assert written, call.string[:200]
    return Step("write", name, _bytes(written["data"]), int(written["offset"]))


def _bytes(text: str) -> bytes:
    return bytes.fromhex("".join(re.findall(r"\\x(..)", text)))


def cut_off(steps: Sequence[Step], folder: Path, cuts: int, seed: int = 1) -> list[str]:
    """Cut the power off at this many moments; return what is wrong with the files."""
    chance, problems = random.Random(seed), []  # noqa: S311
    moments = sorted(chance.choices(range(1, len(steps) + 1), k=cuts))
    disk, told, done = {name: DiskFile() for name in FILES}, 0, 0
    for moment in moments:
        for step in steps[done:moment]:
            told = step.number if step.kind == "told" else told
            for name, file in disk.items():
                if step.kind != "told" and step.file in {name, "/"}:
                    file.take(step)
        done = moment
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        files = {name: file.after_cut(chance, share) for name, file in disk.items()}
        problem = _judge(files, folder, told)
        if problem:
            problems.append(f"step {moment} of {len(steps)}, {share:.0%} of the rest: {problem}")
    return problems


def _judge(files: dict[str, bytearray], folder: Path, told: int) -> str | None:
    path = folder / "cut.db"
    for file in folder.glob("cut.db*"):
        file.unlink()
    for name, content in files.items():
        if content:
            (folder / f"cut.db{name}").write_bytes(content)
    try:
        Database(path).close()
    except HistoryError as error:  # the service would set the file aside
        return str(error)
    if problem := damage(path):
        return problem
    first, last, count = read_extent(path)
    if count < told:
        return f"{told} minutes were written, and {count} are there"
    if count and (first, last - first + 1) != (FIRST, count):
        return f"{count} minutes from {first} to {last}"
    return None


def main() -> int:
    """Record and cut; return 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=3000, help="default: 3000")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serenbox-power-") as name:
        folder = Path(name)
        steps = record(folder / "history.db", folder / "trace", MINUTES)
        writes, syncs = (sum(step.kind == kind for step in steps) for kind in ("write", "sync"))
        database = sum(step.kind == "sync" and not step.file for step in steps)
        minutes = max(step.number for step in steps if step.kind == "told")
        print(
            f"recorded: {minutes} minutes in {writes} writes and {syncs} syncs, {database} of them "
            "of the database itself, the others of its log"
        )
        problems = cut_off(steps, folder, args.cuts)
    print(f"{args.cuts} losses of power")
    print("\n".join(problems[:10]) or "every file is whole and has every minute that was written")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())

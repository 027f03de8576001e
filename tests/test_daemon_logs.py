from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from serenbox.daemon.log_writer import LogWriter
from serenbox.daemon.logs import JournalFormatter, TerminalFormatter
from tests.daemon_process import Daemon, write_lively_face

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCRIPT = """
import contextlib, logging, os, sys
from serenbox.daemon.logs import set_up_logging
set_up_logging(debug=len(sys.argv) > 1)
logging.basicConfig()  # as libraries do, picamera2 among them
with contextlib.suppress(OSError):
    os.write(2, b"a driver's noise\\n")
log = logging.getLogger("serenbox.capture")
log.error("it is %s\\nand more", "gone")
log.warning("careful")
log.info("fine")
log.debug("details")
"""


def logged(tmp_path: Path, *arguments: str, journal: bool = False) -> list[str]:
    path = tmp_path / "log"
    with path.open("wb") as file:
        found = os.fstat(file.fileno())
        stream = f"{found.st_dev}:{found.st_ino}" if journal else "1:1"
        subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            stderr=file,
            env={**os.environ, "JOURNAL_STREAM": stream},
            check=True,
        )
    return path.read_text().splitlines()


def test_lines_for_the_journal(tmp_path: Path) -> None:
    assert logged(tmp_path, journal=True) == [
        r"<3>capture: it is gone\nand more",
        "<4>capture: careful",
        "<6>capture: fine",
    ]


def test_lines_for_a_person(tmp_path: Path) -> None:
    lines = logged(tmp_path)
    assert [line[20:] for line in lines] == [
        r"error   capture: it is gone\nand more",
        "warning capture: careful",
        "info    capture: fine",
    ]
    assert all(line[:4].isdecimal() and line[10] == " " for line in lines)


def test_a_search_for_mistakes_shows_everything(tmp_path: Path) -> None:
    lines = logged(tmp_path, "--debug")
    assert lines[0] == "a driver's noise"
    assert lines[-1].endswith("debug   capture: details")


def test_standard_error_may_be_closed() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, SCRIPT], check=False
    )
    assert done.returncode == 0


def full_pipe() -> tuple[int, int, int]:
    """Return both ends of a pipe that takes no more, and how many bytes are in it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return reader, writer, filled


def test_a_reader_of_the_log_that_does_not_read_holds_up_nothing(
    tmp_path: Path, portrait_file: Path
) -> None:
    """As when somebody has pressed Ctrl-S in its terminal."""
    reader, writer, filled = full_pipe()
    source = write_lively_face(tmp_path, portrait_file)
    with os.fdopen(writer, "wb") as log, Daemon(tmp_path, source, stderr=log) as daemon:
        daemon.wait_mood("happy")
        paused = daemon.command("pause")
        assert (paused.returncode, paused.stderr) == (0, "")
        assert daemon.end() == 0
    with os.fdopen(reader, "rb") as file:
        assert len(file.read()) == filled


def test_when_the_reader_reads_again_it_is_told_what_is_missing() -> None:
    reader, writer, filled = full_pipe()
    handler = LogWriter(writer)
    handler.setFormatter(TerminalFormatter())
    many = 3000
    for number in range(many):
        handler.handle(logging.LogRecord("serenbox.x", 20, "", 0, f"line {number}", (), None))
    with os.fdopen(reader, "rb") as file:
        file.read(filled)
        lines = [file.readline().decode().split("x: ")[-1].rstrip() for _ in range(1000)]
        while "dropped" not in (last := file.readline().decode()):
            lines.append(last.split("x: ")[-1].rstrip())
    os.close(writer)
    assert lines == [f"line {number}" for number in range(len(lines))]
    assert f"log: {many - len(lines)} lines of the log were dropped" in last


def test_a_thread_that_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    handler = LogWriter(writer)
    record = logging.LogRecord("serenbox.x", 20, "", 0, "line", (), None)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        handler.handle(record)
    handler.handle(record)
    handler.flush()
    with os.fdopen(reader, "rb") as file:
        assert os.read(file.fileno(), 100) == b"line\nline\n"
    os.close(writer)


def refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_traceback_steers_no_terminal() -> None:
    """It is shown only with --debug, for whose sake an error is logged twice."""
    found = (ValueError, ValueError("\x1b[2J"), None)
    record = logging.LogRecord("serenbox.x", logging.DEBUG, "", 0, "it failed", (), found)
    person = TerminalFormatter().format(record).splitlines()
    assert person[0].endswith("debug   x: it failed")
    assert person[1] == r"ValueError: \x1b[2J"
    journal = JournalFormatter().format(record).splitlines()
    assert len(journal) == len(person)
    assert all(line.startswith("<7>x: ") for line in journal)


def test_closed_descriptors_are_filled_and_no_other() -> None:
    script = """
import os, sys
from serenbox.daemon.logs import fill_standard_descriptors
fill_standard_descriptors()
reader, writer = os.pipe()
assert min(reader, writer) > 2, (reader, writer)
fill_standard_descriptors()
os.close(reader)
os.close(writer)
assert os.open(os.devnull, os.O_RDONLY) == reader
os.write(1, b"told") if sys.argv[1] == "2" else None
"""
    for closed in ("0", "1", "2"):
        shell = f'exec "$0" -c "$1" "$2" {closed}>&-'
        command = ["/bin/sh", "-c", shell, sys.executable, script, closed]
        done = subprocess.run(command, capture_output=True, check=True)
        assert done.stdout == (b"told" if closed == "2" else b"")

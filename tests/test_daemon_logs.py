from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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

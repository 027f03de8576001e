"""A wall clock that a test sets, for processes: libfaketime."""

from __future__ import annotations

from pathlib import Path

from tests.missing import missing

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class FakeClock:
    """The wall clock of the processes that get its environment; other clocks are left alone.

    Skips the test where the library is missing; where SERENBOX_REQUIRE_ALL is 1, that is a failure.

    Args:
        path: A file that tells what time it is.

    """

    def __init__(self, path: Path) -> None:
        if not LIBRARIES:
            missing("libfaketime, which this test needs, is not installed: apt install libfaketime")
        self._path = path
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead: int) -> None:
        """Set it so many seconds ahead of the true time; the processes notice within a second."""
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.write_text(f"{ahead:+d}\n")
        beside.rename(self._path)  # it is read at any moment

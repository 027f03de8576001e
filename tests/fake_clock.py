"""A wall clock for other processes that a test can set, by means of libfaketime."""

from __future__ import annotations

from pathlib import Path

from tests.missing import missing

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class FakeClock:
    """The wall clock of the processes that get its environment; other clocks are left alone.

    Skips the test if the library is missing, or fails it if SERENBOX_REQUIRE_ALL is 1.

    Args:
        path: The file from which the library reads how far the clock is ahead.

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
        """Set it this many seconds ahead of the true time; the processes notice within a second."""
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.write_text(f"{ahead:+d}\n")
        beside.rename(self._path)  # in one step: it may be read at any moment

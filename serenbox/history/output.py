"""The output that keeps a summary per minute. Sensing never waits for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from serenbox.errors import HistoryError
from serenbox.history.kept_file import KeptFile
from serenbox.history.minutes import MINUTE, MinuteSums, Summary
from serenbox.history.trust import MINUTES_PER_DAY, SYNCHRONIZED, minutes_to_keep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from serenbox.settings.schema import HistorySettings

_log = logging.getLogger("serenbox.history")

WAITING = MINUTES_PER_DAY
"""Maximum minutes that wait for a full or missing disk, less than a megabyte."""

_BREATH = 0.05
"""Seconds between two steps of removal, so that removing a year does not keep the disk busy."""

AHEAD = 2.0
"""Seconds before the end of a minute when what is known of it is written, so that no finished
minute is missing, whenever the service dies."""

_MARGIN = 0.02
"""Seconds after the end of a minute when the rest of it is written."""

_READING = 0.05
"""Maximum seconds that a reader waits for the writer: others wait for the reader."""


class HistoryOutput:
    """Adds up moods in the caller's thread, and writes each minute from a thread of its own.

    A problem with the disk is logged once; minutes wait in memory until it is solved. A damaged
    file is set aside, and a new one begun.

    Args:
        settings: How long minutes are kept.
        path: The database.
        clock: Monotonic clock, in seconds.
        wall: Seconds since 1970; somebody may set it at any moment.
        synchronized: The file that exists once the clock has been set from the network.

    """

    name = "history"

    def __init__(
        self,
        settings: HistorySettings,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        synchronized: Path = SYNCHRONIZED,
    ) -> None:
        self.days = settings.days
        """How long a minute is kept."""
        self._clock = clock
        self._wall = wall
        self._synchronized = synchronized
        # Held for the sums only: callers of `mood` take it too, so never while the disk is used.
        self._lock = threading.Lock()
        self._sums = MinuteSums()
        self._waiting: deque[Summary] = deque()
        self._begun: int | None = None  # the latest minute whose end was prepared for
        self._closing = False
        self._deletions_wanted = 0
        self._dropped = 0
        # Held while the disk is used.
        self._disk = threading.Lock()
        self._file = KeptFile(path, wall)
        self._deletions = 0
        self._written = 0
        self._latest: int | None = None  # the last minute that was counted as written
        self._problem: str | None = None
        self._prunable = True
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Begin; the database is opened in the background."""
        self._thread.start()

    def mood(self, message: Mapping[str, Any]) -> None:
        """Add up the time until now, and go on with the new mood."""
        with self._lock:
            self._sums.tell(self._clock(), self._wall(), message["mood"], message["scores"])
            finished = self._gather(self._sums.take_finished())
            ending = self._ending()
        if finished or ending is not None:
            self._wake.set()

    def event(self, message: Mapping[str, Any]) -> None:
        """Do nothing: the mood comes with every change, too."""

    def stats(self, message: Mapping[str, Any]) -> None:
        """Do nothing: only moods are kept."""

    def close(self, timeout: float) -> None:
        """Write what there is, including the current minute, and close the database.

        Args:
            timeout: Seconds.

        """
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def health(self) -> dict[str, Any]:
        """Return whether minutes are written, how many were, and how many were lost."""
        return {
            "connected": self._thread.is_alive() and self._problem is None,
            "published": self._written,
            "dropped": self._dropped,
            "problem": self._problem,
            "file": str(self._file.path),
            "deletions": self._deletions,
        }

    def delete(self) -> int:
        """Have everything kept removed, including what was set aside; returns at once.

        Returns:
            What `health` will show as `deletions` when it is done.

        """
        with self._lock:
            self._sums.count(self._clock(), self._wall())
            self._sums.forget()
            self._waiting.clear()
            self._deletions_wanted += 1
            wanted = self._deletions_wanted
        self._wake.set()
        return wanted

    def recent(self, minutes: int, step: int) -> tuple[int, list[Summary]] | None:
        """Return the last minutes, including those that are not written yet.

        Args:
            minutes: How many, by the wall clock, including the current one.
            step: How many are taken together.

        Returns:
            The first minute, and what is known of the steps from there on, in no particular order;
            a step may come in parts. None if the database cannot be read, or not soon enough.

        """
        if not self._disk.acquire(timeout=_READING):
            return None
        try:
            with self._lock:
                self._sums.count(self._clock(), self._wall())
                end = int(self._wall() // MINUTE) + 1
                fresh = [*self._waiting, *self._sums.peek()]
            first = end - minutes
            kept = self._file.read(first, end, step)
            return first, kept + [each for each in fresh if first <= each.minute < end]
        except HistoryError:
            return None
        finally:
            self._disk.release()

    def _run(self) -> None:
        try:
            self._attempt(self._open)
            while not self._closing:
                self._turn()
                self._wake.wait(_BREATH if self._prunable else self._until_next_write())
                self._wake.clear()
            self._turn()
        except Exception as error:  # noqa: BLE001 - the history ends, but sensing goes on
            self._report(
                f"the history has failed ({type(error).__name__}: {error}): a bug in SerenBox, "
                "please report it; restart the service to get it back"
            )
            _log.debug("the history failed", exc_info=True)
        finally:
            with self._disk:
                self._file.close()

    def _turn(self) -> None:
        """Remove, write and prune whatever is due."""
        closing = self._closing
        with self._lock:
            self._sums.count(self._clock(), self._wall())
            if (ending := self._ending()) is not None:
                self._begun = ending
            # While something waits for the disk, a part of a minute would only wait, too.
            everything = closing or (ending is not None and not self._waiting)
            self._gather(self._sums.take_all() if everything else self._sums.take_finished())
            batch, deletions = list(self._waiting), self._deletions_wanted
        if deletions > self._deletions and not self._attempt(lambda: self._delete(deletions)):
            return
        if batch and self._attempt(lambda: self._write(batch)):
            self._prunable = True
        if self._prunable and not closing:
            self._attempt(self._prune)

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Use the disk; log a problem once, and return whether it worked."""
        with self._disk:
            try:
                self._file.use(action)
            except HistoryError as error:
                self._report(str(error))
                return False
        if self._problem is not None and self._file.is_open:
            self._problem = None
            _log.info("the history is being written again")
        return True

    def _open(self) -> None:
        before, back = self._file.open()
        with self._lock:
            if before is not None:
                self._sums.jump_ahead(self._clock(), before)
            self._sums.jumped_back = self._clock() if back else self._sums.jumped_back

    def _write(self, batch: list[Summary]) -> None:
        self._open()
        self._file.add(batch)
        minutes = {summary.minute for summary in batch} - {self._latest}
        self._written += len(minutes)
        self._latest = batch[-1].minute
        with self._lock:
            for summary in batch:  # the queue may have changed meanwhile
                if self._waiting and self._waiting[0] is summary:
                    self._waiting.popleft()

    def _delete(self, deletions: int) -> None:
        self._file.delete()
        self._deletions = deletions
        self._problem = None
        _log.info("the history was removed")

    def _prune(self) -> None:
        self._prunable = False
        keep = minutes_to_keep(
            self.days,
            self._sums,
            self._clock(),
            self._wall(),
            synchronized=self._synchronized.exists(),
        )
        if keep is not None:
            self._prunable = self._file.prune(*keep)

    def _gather(self, finished: list[Summary]) -> bool:
        """Queue minutes to be written; return whether there were any."""
        self._waiting.extend(finished)
        while len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._dropped += 1
        return bool(finished)

    def _ending(self) -> int | None:
        """Return the current minute if it is time to write what is known of it, else None."""
        minute, second = divmod(self._wall(), MINUTE)
        return int(minute) if second >= MINUTE - AHEAD and minute != self._begun else None

    def _until_next_write(self) -> float:
        left = MINUTE - self._wall() % MINUTE
        return left - AHEAD if left > AHEAD else left + _MARGIN

    def _report(self, problem: str) -> None:
        if self._problem is None:
            _log.warning("%s", problem)
        self._problem = problem

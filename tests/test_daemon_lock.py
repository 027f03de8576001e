from __future__ import annotations

import errno
import fcntl
import os
import re
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.lock import ServiceLock, TakenError
from serenbox.daemon.paths import Paths
from serenbox.daemon.place import Place
from serenbox.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("process 4194304, since 2001-02-03 04:05:06\n" * 2)  # of one that was killed
    with ServiceLock(path):
        holder = rf"process {os.getpid()}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"
        with pytest.raises(
            ServiceError, match=rf"another serenbox \({holder}\) is already running"
        ):
            ServiceLock(path)
    ServiceLock(path).release()


def test_a_file_system_without_locks_is_no_other_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ServiceError, match="cannot be taken") as caught:
        ServiceLock(tmp_path / "lock")
    assert not isinstance(caught.value, TakenError)


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = ServiceLock(tmp_path / "lock")
    lock.release()
    with ServiceLock(tmp_path / "lock"):
        lock.release()
        with pytest.raises(ServiceError):
            ServiceLock(tmp_path / "lock")


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with ServiceLock(path) as lock:
        path.unlink()
        lock.renew()
        with pytest.raises(ServiceError, match="already running"):
            ServiceLock(path)
        path.unlink()
        with ServiceLock(path), pytest.raises(ServiceError, match="already running"):
            lock.renew()
    ServiceLock(path).release()


def test_a_lock_that_cannot_be_taken_anew_for_now_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths(tmp_path / "run", tmp_path / "state")
    with Place(paths) as place:
        paths.lock.unlink()
        paths.lock.mkdir()
        for _ in range(2):
            place.keep()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        paths.lock.rmdir()
        place.keep()
        with pytest.raises(ServiceError, match="already running"):
            ServiceLock(paths.lock)


def test_nothing_that_could_steer_a_terminal_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with ServiceLock(path):
        path.write_bytes(b"\x1b[31m" + bytes(range(256)))
        with pytest.raises(ServiceError, match="another serenbox is already running"):
            ServiceLock(path)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    message = f"{re.escape(str(tmp_path))}/none/lock cannot be opened"
    with pytest.raises(ServiceError, match=message):
        ServiceLock(tmp_path / "none" / "lock")

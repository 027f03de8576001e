from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from serenbox.daemon import volatile
from serenbox.daemon.state import PausedFlag
from serenbox.daemon.volatile import why_lost
from tests.machines import OVERLAY_ROOT, mount
from tests.rights import NOBODY, acting_as


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "state" / "paused"
    assert not PausedFlag(path).read()
    PausedFlag(path).write(paused=True)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert PausedFlag(path).read()
    PausedFlag(path).write(paused=True)
    PausedFlag(path).write(paused=False)
    assert not PausedFlag(path).read()


def test_it_is_remembered_through_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "paused"
    synced: list[tuple[bool, bool]] = []

    def sync(handle: int) -> None:
        is_folder = os.path.sameopenfile(handle, folder)
        synced.append((is_folder, path.exists()))

    path.parent.mkdir()
    folder = os.open(path.parent, os.O_RDONLY)
    monkeypatch.setattr(os, "fsync", sync)
    try:
        PausedFlag(path).write(paused=True)
        PausedFlag(path).write(paused=False)
    finally:
        os.close(folder)

    assert synced == [(True, True), (True, False)]  # only the folder is synced: the file is empty


def test_nothing_is_made_to_remember_nothing(tmp_path: Path) -> None:
    assert PausedFlag(tmp_path / "state" / "paused").write(paused=False)
    assert not list(tmp_path.iterdir())


def test_a_pause_that_cannot_be_written_is_told_once_however_often_it_is_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()  # in place of the folder: not even root can write there
    flag = PausedFlag(tmp_path / "file" / "paused")
    assert not flag.read()
    assert not flag.write(paused=True)
    assert not flag.write(paused=True)
    assert "after a restart this will be forgotten" in str(flag.problem)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(flag.problem) in record.getMessage()

    (tmp_path / "file").unlink()
    assert flag.write(paused=True)
    assert flag.problem is None

    (tmp_path / "file" / "paused").unlink()
    (tmp_path / "file").rmdir()
    (tmp_path / "file").touch()
    assert not flag.write(paused=True)
    assert len(caplog.records) == 2, "another failure is told again"


def test_a_pause_that_is_remembered_already_is_where_nothing_can_be_written() -> None:
    with TemporaryDirectory() as folder:  # all folders above it are open to everybody
        path = Path(folder, "paused")
        path.touch()
        path.parent.chmod(0o755)
        flag = PausedFlag(path)
        with acting_as(os.geteuid() or NOBODY):
            assert flag.read()
            assert flag.write(paused=True)
        assert flag.problem is None


def test_where_nobody_knows_it_is_paused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "loop").symlink_to("loop")
    flag = PausedFlag(tmp_path / "loop" / "paused")
    assert flag.read()
    assert "the camera stays closed until somebody resumes it" in str(flag.problem)
    assert str(flag.problem) in caplog.text
    assert not flag.write(paused=False)


DISK = "/ / rw - ext4 /dev/mmcblk0p2 rw"
STATE = "/var/lib/serenbox"


@pytest.mark.parametrize(
    ("mounts", "folder", "lost"),
    [
        ((DISK,), STATE, False),
        (OVERLAY_ROOT, STATE, True),
        (OVERLAY_ROOT, "/home/me/.local/state/serenbox", True),
        ((*OVERLAY_ROOT, f"/ {STATE} rw - ext4 /dev/sda1 rw"), STATE, False),
        ((DISK, "/ /var/lib rw shared:3 - tmpfs tmpfs rw"), STATE, True),
        (
            (DISK, "/ /var/lib rw - tmpfs tmpfs rw", "/ /var/lib rw - ext4 /dev/sda1 rw"),
            STATE,
            False,
        ),
        ((DISK, f"/ {STATE}2 rw - tmpfs tmpfs rw"), STATE, False),
        ((DISK, r"/ /var/lib/my\040box rw - ramfs none rw"), "/var/lib/my box/state", True),
        # A container: what holds the changes is not to be seen from inside.
        (("/ / rw - overlay overlay rw,lowerdir=/l,upperdir=/docker/u,workdir=/w",), STATE, False),
        (("/ / ro - overlay overlay ro,lowerdir=/a:/b", "/ /a rw - tmpfs t rw"), STATE, False),
        ((DISK, "/ /run rw - tmpfs tmpfs rw"), "/run/user/1000/state", False),
        (OVERLAY_ROOT, "/tmp/test/state", False),  # noqa: S108
        ((), STATE, False),
    ],
)
def test_what_lies_in_memory_is_gone_after_a_reboot(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mounts: tuple[str, ...],
    folder: str,
    lost: bool,
) -> None:
    mount(tmp_path, monkeypatch, *mounts)
    why = why_lost(Path(folder))
    assert (why is not None) is lost
    assert why is None or f"{folder} is kept in memory only: mount a partition there" in why


def test_the_mounts_of_this_machine_can_be_read() -> None:
    assert why_lost(Path("/proc/serenbox")) is None


def test_a_pause_that_outlasts_no_reboot_is_remembered_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(volatile, "_TEMPORARY", ())
    mount(tmp_path, monkeypatch, *OVERLAY_ROOT)
    path = tmp_path / "state" / "paused"
    flag = PausedFlag(path)
    assert not flag.write(paused=True)
    assert not flag.write(paused=True)
    assert flag.problem == why_lost(path.parent)
    (record,) = caplog.records
    assert record.getMessage() == f"paused: {flag.problem}"

    restarted = PausedFlag(path)
    assert restarted.read()
    assert restarted.problem == flag.problem
    assert restarted.write(paused=False)
    assert restarted.problem is None

"""`serenbox history --delete`, and root with files that are another's."""

from __future__ import annotations

import os
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serenbox.doctor.history import check_history
from serenbox.history.database import Database
from serenbox.history.files import set_aside
from serenbox.settings.schema import HistorySettings
from tests.history_tool import MINUTE, NOW, run, summary
from tests.rights import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another")


pytestmark = pytest.mark.usefixtures("state")


def test_delete_removes_everything(
    kept: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_aside(kept, NOW)
    Database(kept).close()
    (state / "paused").touch()
    assert run(capsys, "--delete") == (0, "the history was removed\n", "")
    assert [file.name for file in state.iterdir()] == ["paused"]


def test_what_another_process_uses_is_not_removed_beneath_it(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(kept)) as other:
        other.execute("SELECT * FROM minutes").fetchone()
        status, _, err = run(capsys, "--delete")
        assert status == 1
        assert "another process is using this history" in err
        assert kept.exists()
    assert run(capsys, "--delete") == (0, "the history was removed\n", "")


def test_what_is_no_history_is_never_removed_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, other = tmp_path / "del.png", tmp_path / "other.db"
    beside = [tmp_path / "del.png-wal", tmp_path / "del.png.damaged-x"]
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE minutes (minute)")
    for path in (picture, *beside):
        path.write_bytes(b"mine")
    before = {path: path.read_bytes() for path in (picture, other, *beside)}
    for path in (picture, other):
        status, out, err = run(capsys, "--file", str(path), "--delete")
        assert (status, out) == (1, "")
        assert f"{path}: it is not a SerenBox history" in err
    assert {path: path.read_bytes() for path in before} == before


def test_a_link_is_not_followed(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    real = stick / "history.db"
    kept.rename(real)
    kept.symlink_to(real)
    status, _, err = run(capsys, "--delete")
    assert status == 1, "whoever made the link must not have root remove anything"
    assert f"it is a link to {real}: give that name with --file" in err
    assert real.exists()
    assert run(capsys, "--file", str(real), "--delete") == (0, "the history was removed\n", "")
    assert list(stick.iterdir()) == []


def test_a_link_to_itself(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.mkdir()
    (state / "history.db").symlink_to("history.db")
    for arguments in ((), ("--delete",)):
        status, out, err = run(capsys, *arguments)
        assert (status in {1, 2}, out) == (True, "")
        assert "bug in SerenBox" not in err


def test_a_damaged_one_can_be_removed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.mkdir()
    (state / "history.db").write_bytes(b"\xa5" * 9999)
    assert run(capsys)[0] == 2
    assert run(capsys, "--delete") == (0, "the history was removed\n", "")
    assert list(state.iterdir()) == []


def test_a_newer_one_that_is_named_stays(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = kept.rename(tmp_path / "copy.db")
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA user_version = 2")
    status, _, err = run(capsys, "--delete", "--file", copy)
    assert status == 1
    assert "if it is this box's own, remove it with `serenbox history --delete`" in err
    assert copy.exists()


@pytest.mark.parametrize("read", [False, True])
def test_a_pipe_among_its_files_is_removed(
    kept: Path, capsys: pytest.CaptureFixture[str], *, read: bool
) -> None:
    pipe = kept.with_name("history.db.damaged-20010909T014640Z")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if read else None
    try:
        assert run(capsys, "--delete") == (0, "the history was removed\n", "")
    finally:
        if reader is not None:
            os.close(reader)
    assert list(kept.parent.iterdir()) == []


def test_one_that_cannot_be_removed(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> int:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr("serenbox.history.removal.delete_files", refuse)
    status, out, err = run(capsys, "--delete")
    assert (status, out) == (1, "")
    assert f"{kept}: it could not be removed (Operation not permitted)" in err


@pytest.fixture
def of_another(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder, in a place that another user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("STATE_DIRECTORY", folder)
        yield Path(folder)


def give_away(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.chown(path, NOBODY, NOBODY)


@AS_ROOT
def test_what_root_put_into_the_folder_of_another_is_removed_as_well(
    capsys: pytest.CaptureFixture[str], of_another: Path
) -> None:
    give_away(of_another)
    for name in ("history.db", "history.db.damaged-20010909T014640Z"):
        (of_another / name).write_bytes(b"a copy that was put back")
        (of_another / name).chmod(0o644)
    assert run(capsys, "--delete") == (0, "the history was removed\n", "")
    assert list(of_another.iterdir()) == []


def plant_journal(folder: Path, named: Path) -> None:
    """Leave a journal that makes SQLite remove another file (section 3 of its fileformat.html)."""
    path = folder / "history.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (zeroblob(99999))")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET a = randomblob(99999)")
        content, journal = path.read_bytes(), (folder / "history.db-journal").read_bytes()
    (page_size,) = struct.unpack_from(">H", content, 16)
    name = os.fsencode(named)
    end = struct.pack(">II", len(name), sum(name)) + journal[:8]
    path.write_bytes(content)
    (folder / "history.db-journal").write_bytes(
        journal + struct.pack(">I", 2**30 // page_size + 1) + name + end
    )


@AS_ROOT
@pytest.mark.parametrize("arguments", [(), ("--csv",), ("--delete",), ("--delete", "--file")])
def test_root_removes_nothing_that_a_file_beside_it_names(
    of_another: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    victim, path = tmp_path / "victim", of_another / "history.db"
    victim.write_text("root's own")
    plant_journal(of_another, victim)
    give_away(of_another)
    run(capsys, *arguments, *([path] if "--file" in arguments else []))
    assert victim.exists()
    if path.exists():
        check_history(HistorySettings(), path)
        assert victim.exists()
    assert os.geteuid() == 0


@AS_ROOT
@pytest.mark.parametrize("mode", [0o1777, 0o775])
@pytest.mark.parametrize("arguments", [(), ("--csv",), ("--delete",)])
def test_root_uses_nothing_of_its_own_beside_which_others_may_write(
    of_another: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    mode: int,
) -> None:
    victim, path = tmp_path / "victim", of_another / "history.db"
    victim.write_text("root's own")
    plant_journal(of_another, victim)
    os.chown(of_another / "history.db-journal", NOBODY, NOBODY)
    os.chown(of_another, 0, NOBODY)
    of_another.chmod(mode)
    status, out, err = run(capsys, *arguments, "--file", path)
    assert (status in {1, 2}, out) == (True, "")
    assert f"{path}: others may write to {of_another}" in err
    assert victim.exists()
    assert path.exists()


@AS_ROOT
def test_root_reads_and_removes_what_is_another_s(
    of_another: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = of_another / "history.db"
    with Database(path) as database:
        database.add([summary(MINUTE - 30, happy=60)])
    give_away(of_another)
    groups = os.getgroups()
    status, out, err = run(capsys)
    assert (status, err) == (0, "")
    assert "happy" in out
    assert check_history(HistorySettings(enabled=True), path).seen.startswith("on, kept for")
    assert all(file.stat().st_uid == NOBODY for file in of_another.iterdir())
    assert run(capsys, "--delete") == (0, "the history was removed\n", "")
    assert list(of_another.iterdir()) == []
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, os.getgid(), groups)

"""`serenbox history` on files with known content."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import sqlite3
import struct
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.cli.history import HistoryTool
from serenbox.daemon import paths
from serenbox.doctor.history import check_history
from serenbox.history.database import Database
from serenbox.history.files import set_aside
from serenbox.history.minutes import Summary
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS
from serenbox.settings.schema import HistorySettings
from tests.rights import NOBODY, closed

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_774_800_000.0  # 2026-03-29 16:00 UTC
MINUTE = int(NOW // 60)


def summary(minute: int, **seconds: float) -> Summary:
    scores = tuple(30.0 if emotion == "happy" else 5.0 for emotion in EMOTIONS)
    seen = any(label in EMOTIONS for label in seconds)
    return Summary(
        minute,
        tuple(seconds.get(label, 0.0) for label in MOOD_LABELS),
        scores if seen else (0.0,) * len(EMOTIONS),
    )


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder, at a known moment in a known place, without a service."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(paths, "SYSTEM_STATE", tmp_path / "system")
    monkeypatch.setattr(paths, "SYSTEM_RUNTIME", tmp_path / "run")
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield folder
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def kept(state: Path) -> Path:
    """Today an hour happy, an hour half known and 3 s sad; three days ago a pause of two hours."""
    path = state / "history.db"
    with Database(path) as database:
        database.add(summary(MINUTE - 180 + n, happy=60) for n in range(60))
        database.add(summary(MINUTE - 60 + n, neutral=20, no_face=10) for n in range(60))
        database.add(summary(MINUTE - 3 * 1440 + n, paused=60) for n in range(120))
        database.add([summary(MINUTE, sad=3)])
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = HistoryTool().main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.usefixtures("kept")
def test_the_last_day_by_the_hour(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys)

    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "The last 24 hours, in minutes; local time (CEST)"
    assert lines[2].split() == ["from", "known", "happy", "neutral", "sad", "no_face"]
    assert len(lines) == 3 + 24 + 3
    assert lines[-7].split() == ["2026-03-29", "15:00", "60.0", "60.0", "-", "-", "-"]
    assert lines[-5].split() == ["2026-03-29", "17:00", "30.0", "-", "20.0", "-", "10.0"]
    assert lines[-4].split() == ["2026-03-29", "18:00", "0.1", "-", "-", "0.1", "-"]
    assert lines[-2].split() == ["total", "90.0", "60.0", "20.0", "0.1", "10.0"]
    assert lines[-1].split() == ["share", "67%", "22%", "0%", "11%"]


def test_a_file_that_a_full_disk_left_empty_is_an_empty_history(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.mkdir()
    (state / "history.db").touch()
    for option in ((), ("--csv",), ("--days", 7)):
        status, out, err = run(capsys, *option)
        assert (status, err) == (0, "")
        assert out


@pytest.mark.usefixtures("kept")
def test_days(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--days", 7)

    lines = out.splitlines()
    assert lines[0] == "The last 7 days, in hours; local time (CEST)"
    days = [line.split()[:3] for line in lines[3:10]]
    assert days[0] == ["2026-03-23", "Mon", "-"]
    assert days[3] == ["2026-03-26", "Thu", "2.0"]  # still in winter time
    assert days[6] == ["2026-03-29", "Sun", "1.5"]


@pytest.mark.usefixtures("kept")
def test_csv_has_a_row_per_minute(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "--csv")

    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 60 + 60 + 120 + 1
    assert rows[0]["time"] == "2026-03-26T16:00:00.000Z"
    assert (rows[0]["paused"], rows[0]["happy_score"]) == ("60.000", "")
    assert (rows[120]["happy"], rows[120]["happy_score"]) == ("60.000", "0.5000")
    assert list(rows[0])[:12] == ["time", *MOOD_LABELS]
    _, out, _ = run(capsys, "--csv", "--days", 1)
    assert len(out.splitlines()) == 1 + 121


def test_csv_of_many_minutes_is_complete(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Database(state / "history.db") as database:
        database.add(summary(minute, sad=60) for minute in range(5000))
    _, out, _ = run(capsys, "--csv")
    lines = out.splitlines()
    assert len(lines) == 5001
    assert len(set(lines)) == 5001


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("arguments", [(), ("--days", "1"), ("--days", "7"), ("--days", "90")])
def test_the_plot_shows_moods_in_their_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib, which draws the plot, is not installed")
    plot = tmp_path / "moods.png"

    assert run(capsys, "--plot", plot, *arguments) == (0, "", "")

    image = cv2.imread(str(plot))
    assert image is not None
    colors = set(map(tuple, image.reshape(-1, 3).tolist()))
    assert {(66, 228, 240), (128, 128, 128)} <= colors  # happy and neutral
    assert ((103, 107, 95) in colors) is (arguments != ("--days", "1"))  # the pause, days ago


def test_a_minute_that_came_twice_is_drawn_within_its_panel(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib, which draws the plot, is not installed")
    with Database(state / "history.db") as database:
        database.add(summary(MINUTE - 600 + n, happy=60, sad=60) for n in range(600))
    plot = tmp_path / "moods.png"
    assert run(capsys, "--plot", plot, "--days", 1)[0] == 0
    image = cv2.imread(str(plot))
    assert image is not None
    happy = (image == (66, 228, 240)).all(axis=2)[:-60].sum()
    sad = (image == (178, 114, 0)).all(axis=2)[:-60].sum()
    assert happy == pytest.approx(sad, rel=0.05)


def test_nothing_known(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Database(state / "history.db").close()
    status, out, _ = run(capsys)
    assert status == 0
    assert out.endswith("\n\nnothing is known about this time\n")
    assert len(run(capsys, "--csv")[1].splitlines()) == 1


def test_the_system_s_history_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Database(tmp_path / "system" / "history.db") as database:
        database.add([summary(MINUTE, happy=1)])
    assert "happy" in run(capsys)[1]


def test_another_file_can_be_named(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "my moods?.db"
    kept.rename(elsewhere)
    assert "happy" in run(capsys, "--file", elsewhere)[1]
    assert run(capsys, "--delete", "--file", elsewhere)[0] == 0
    assert not elsewhere.exists()


def test_a_history_that_cannot_be_changed_can_be_read(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def connect(address: str, **options: object) -> sqlite3.Connection:
        if "immutable" not in address:  # as on a disk that is mounted read-only
            address = f"file:{kept.parent}/gone/x?mode=ro"
        return real(address, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr("serenbox.history.reading.sqlite3.connect", connect)
    assert "happy" in run(capsys)[1]


# --- deleting ------------------------------------------------------------------------------------


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


def test_one_that_cannot_be_removed(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> int:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr("serenbox.history.removal.delete_files", refuse)
    status, out, err = run(capsys, "--delete")
    assert (status, out) == (1, "")
    assert f"{kept}: it could not be removed (Operation not permitted)" in err


# --- root in the folder of another ---------------------------------------------------------------

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another")


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


# --- wrong calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there is no history (looked for "),
        (("--delete",), "there is no history (looked for "),
        (("--days", "0"), "must be a whole number from 1 to 3650, not '0'"),
        (("--days", "1.5"), "must be a whole number"),
        (("--days", "9999999999"), "must be a whole number"),
        (("--delete", "--days", "3"), "--delete removes all of it"),
        (("--csv", "--delete"), "not allowed with argument"),
        (("--plot", "x.jpg"), "ends in .png"),
        (
            ("--file", "gone.db"),
            "gone.db: the history cannot be read (No such file or directory): check",
        ),
        (("--delete", "--file", "gone.db"), "gone.db: there is no such history"),
        (("--file", "/"), "/: it is a folder: name a file in it"),
        (("--delete", "--file", "/"), "/: it is a folder: name a file in it"),
        (("--delete", "--file", ".."), "..: it is a folder: name a file in it"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)

    assert (status, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_a_folder_that_may_not_be_looked_into(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    status, _, err = run(capsys)
    assert status == 2
    assert f"you may not look into {tmp_path / 'system'}: use sudo" in err


def test_without_matplotlib_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    status, _, err = run(capsys, "--plot", "moods.png")
    assert status == 2
    # It must not install another NumPy either: apt's picamera2 only works with apt's NumPy.
    install = f"{sys.executable} -m pip install 'matplotlib>=3.9' numpy=={np.__version__}`"
    assert install in err, "the Python that runs is the one that needs it"


# --- the doctor ----------------------------------------------------------------------------------


def test_the_doctor_says_what_is_kept(kept: Path, tmp_path: Path) -> None:
    on, off = HistorySettings(enabled=True), HistorySettings()
    assert check_history(off, tmp_path / "none.db").seen == "off, nothing is kept"
    assert check_history(on, tmp_path / "none.db").state == "ok"
    fine = check_history(on, kept)
    assert (fine.state, fine.mend) == ("ok", "")
    assert fine.seen.startswith("on, kept for 30 days: 241 minutes of 3.0 days in 0.0 MB")
    left = check_history(off, kept)
    assert left.state == "warn"
    assert left.mend.removeprefix("sudo ") == "serenbox history --delete"
    with Database(kept) as database:  # when the clock was ahead
        database.add([summary(MINUTE + 900 * 1440, sad=60)])
    assert check_history(on, kept).seen.startswith("on, kept for 30 days: 241 minutes of 3.0 days")
    with closed(kept.parent):
        unseen = check_history(on, kept)
    assert unseen.state == "warn"
    assert unseen.seen == f"{kept}: it cannot be accessed (Permission denied)"
    assert unseen.mend == f"ls -ld {kept.parent}"
    kept.write_bytes(b"")
    empty = check_history(on, kept)
    assert (empty.state, empty.seen) == ("ok", "on, kept for 30 days: 0 minutes in 0.0 MB")
    kept.write_bytes(b"\xa5" * 5000)
    damaged = check_history(on, kept)
    assert damaged.state == "warn"
    assert "restart" in damaged.mend

"""What `serenbox history` shows of files with known content, and wrong calls of it."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import sqlite3
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.history.database import Database
from serenbox.outputs.messages import MOOD_LABELS
from tests.history_tool import MINUTE, run, summary

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("state")


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

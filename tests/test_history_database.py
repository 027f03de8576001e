"""The database by itself: minutes that come twice or are old, and damaged or newer files."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from serenbox.errors import HistoryDamagedError, HistoryError
from serenbox.history.database import Database, is_open_elsewhere
from serenbox.history.files import database_files, delete_files, files_set_aside, set_aside
from serenbox.history.minutes import Summary
from serenbox.history.reading import read_extent, read_summaries
from serenbox.history.removal import remove
from serenbox.history.schema import VALUES
from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def summary(minute: int, seconds: float = 60.0) -> Summary:
    return Summary(minute, (seconds,) + (0.0,) * (len(MOOD_LABELS) - 1), (0.5,) * len(EMOTIONS))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


def test_what_is_written_is_read_and_private(path: Path) -> None:
    with Database(path) as database:
        database.add([summary(5), summary(6)])
        assert {file.name for file in database_files(path)} > {"history.db", "history.db-wal"}
        modes = {stat.S_IMODE(file.stat().st_mode) for file in database_files(path)}
        assert list(read_summaries(path, 0, 100)) == [summary(5), summary(6)]
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_extent(path) == (5, 6, 2)


def test_a_file_that_others_could_read_becomes_private(path: Path) -> None:
    Database(path).close()
    path.chmod(0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_minute_that_comes_twice_becomes_the_sum(path: Path) -> None:
    with Database(path) as database:
        database.add([summary(5, 40)])
        database.add([summary(5, 15.5)])
    (merged,) = read_summaries(path, 5, 6)
    assert merged.seconds[0] == 55.5
    assert merged.score_seconds == (1.0,) * len(EMOTIONS)


def test_minutes_are_read_in_steps_from_the_first(path: Path) -> None:
    with Database(path) as database:
        database.add(summary(minute) for minute in range(100, 131))
    steps = [(one.minute, one.known) for one in read_summaries(path, 105, 125, 10)]
    assert steps == [(105, 600), (115, 600)]


def test_old_minutes_go_in_small_steps_and_the_file_shrinks(path: Path) -> None:
    days = 25
    with Database(path) as database:
        for day in range(days):
            database.add(summary(day * 1440 + minute) for minute in range(1440))
        size, steps = sum(file.stat().st_size for file in database_files(path)), 1
        while database.prune((days - 1) * 1440, 1440):
            steps += 1
        assert read_extent(path)[0] == (days - 1) * 1440
        database.close()
    assert days <= steps < 2 * days
    assert path.stat().st_size < 0.4 * size  # some free pages stay, for what comes
    assert read_extent(path) == ((days - 1) * 1440, days * 1440 - 1, 1440)


def test_minutes_that_lie_ahead_go_after_the_old_ones(path: Path) -> None:
    with Database(path) as database:
        database.add(summary(minute) for minute in range(10))
        assert (database.goes_beyond(8), database.goes_beyond(9)) == (True, False)
        assert database.prune(2, 3, 6)
        assert read_extent(path) == (2, 9, 7)
        assert not database.prune(2, 3, 6)
        assert read_extent(path) == (2, 6, 5)
        assert not database.prune(2, 3)
    assert read_extent(path) == (2, 6, 5)
    assert read_extent(path, 4) == (2, 4, 3)
    assert read_extent(path, 1) == (0, -1, 0)


@pytest.fixture
def careless_sqlite(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Have SQLite begin without the safeguards that many builds of it have by default.

    Returns the connections that are opened.
    """
    opened: list[sqlite3.Connection] = []

    def connect(path: Path, *, timeout: float, isolation_level: None) -> sqlite3.Connection:
        connection = plain(path, timeout=timeout, isolation_level=isolation_level)
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        opened.append(connection)
        return connection

    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    return opened


def test_each_transaction_is_synced(path: Path, careless_sqlite: list[sqlite3.Connection]) -> None:
    with Database(path):
        (connection,) = careless_sqlite
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.usefixtures("careless_sqlite")
def test_what_is_removed_leaves_nothing_to_read(path: Path) -> None:
    odd = Summary(7, (1234.567,) * len(MOOD_LABELS), (0.0,) * len(EMOTIONS))
    needle = (1234567).to_bytes(3, "big") * 3
    with Database(path) as database:
        database.add([odd, summary(8)])
    assert needle in path.read_bytes()
    with Database(path) as database:
        database.prune(8, 10)
    assert needle not in path.read_bytes()


def test_the_log_keeps_no_end_that_is_not_written_any_more(path: Path) -> None:
    odd = Summary(0, (1234.567,) * len(MOOD_LABELS), (0.0,) * len(EMOTIONS))
    needle, log = (1234567).to_bytes(3, "big") * 3, path.with_name("history.db-wal")
    with Database(path) as database:
        database.add(replace(odd, minute=minute) for minute in range(30_000))
        assert log.stat().st_size > 5 << 18, "longer than it becomes minute by minute"
        while database.prune(30_000, 1440):
            pass
        for minute in range(30_000, 30_300):
            database.add([summary(minute)])
        assert needle not in log.read_bytes()


@pytest.mark.parametrize("size", [100, 5000, 12288])
def test_damage_is_told(path: Path, size: int) -> None:
    with Database(path) as database:
        database.add(summary(minute) for minute in range(100))
    whole = path.read_bytes()
    path.write_bytes(b"\xa5" * size + whole[size:])
    with pytest.raises(HistoryDamagedError, match=r"history\.db: it is damaged"):
        Database(path)
    with pytest.raises(HistoryError, match=r"history\.db: it is damaged"):
        list(read_summaries(path, 0, 1))
    assert not is_open_elsewhere(path)


def test_damage_behind_the_head_is_found_when_it_is_opened(path: Path) -> None:
    with Database(path) as database:
        database.add(summary(minute) for minute in range(1440))
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(HistoryDamagedError):
        Database(path)


def test_another_program_s_database_is_no_history(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE minutes (a)")
    with pytest.raises(HistoryDamagedError, match="not a SerenBox history"):
        Database(path)
    with pytest.raises(HistoryDamagedError, match="not a SerenBox history"):
        read_extent(path)


def test_a_view_that_never_ends_is_no_history(path: Path) -> None:
    Database(path).close()
    values = ", ".join(f"0 AS {column}" for column in VALUES)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE minutes")
        connection.execute(
            f"CREATE VIEW minutes AS WITH RECURSIVE row (minute) AS "  # noqa: S608
            f"(VALUES (1) UNION ALL SELECT minute + 1 FROM row) SELECT minute, {values} FROM row"
        )
    with pytest.raises(HistoryDamagedError, match="not a SerenBox history"):
        Database(path)
    with pytest.raises(HistoryDamagedError, match="not a SerenBox history"):
        read_extent(path)


def test_a_newer_history_is_left_alone(path: Path) -> None:
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="newer SerenBox") as raised:
        Database(path)
    assert not isinstance(raised.value, HistoryDamagedError)
    with pytest.raises(HistoryError, match="newer SerenBox"):
        read_extent(path)
    assert path.read_bytes() == before


def test_nothing_is_written_where_a_part_cannot_be(path: Path) -> None:
    with Database(path) as database:
        too_large = Summary(2, (1e20,) * len(MOOD_LABELS), (0.0,) * len(EMOTIONS))
        with pytest.raises(OverflowError):
            database.add([summary(1), too_large])
        database.add([summary(3)])
    assert read_extent(path) == (3, 3, 1)


def test_it_is_known_whether_somebody_uses_it(path: Path) -> None:
    with Database(path) as database:
        database.add([summary(1)])
        assert is_open_elsewhere(path)
        assert database.in_place
        path.rename(path.with_name("elsewhere"))
        assert not database.in_place
        path.with_name("elsewhere").rename(path)
    assert not is_open_elsewhere(path)


def test_reading_an_empty_or_missing_one(path: Path) -> None:
    with pytest.raises(HistoryError, match="No such file"):
        read_extent(path)
    Database(path).close()
    assert read_extent(path) == (0, -1, 0)


def test_a_file_in_which_nothing_was_made_is_an_empty_history(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert read_extent(path) == (0, -1, 0)
    assert list(read_summaries(path, 0, 100)) == []
    assert path.stat().st_size == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("VACUUM")
    assert path.stat().st_size > 0
    assert read_extent(path) == (0, -1, 0)
    assert list(read_summaries(path, 0, 100)) == []


def test_everything_is_deleted(path: Path) -> None:
    with Database(path) as database:
        database.add([summary(1)])
    set_aside(path, 1e9)
    with Database(path) as database:
        database.add([summary(1)])
        beside = path.with_name("paused")
        beside.touch()
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        assert delete_files(path) == size
    assert list(path.parent.iterdir()) == [beside]


def test_what_is_deleted_is_overwritten_first(path: Path, tmp_path: Path) -> None:
    Database(path).close()
    large = b"\xa5" * ((1 << 21) + 5)
    path.with_name("history.db-journal").write_bytes(large)
    set_aside(path, 1e9)
    path.write_bytes(large)
    links = [tmp_path / str(number) for number in range(3)]
    for link, file in zip(links, sorted(path.parent.iterdir()), strict=True):
        link.hardlink_to(file)  # still leads to the blocks when the file has gone
    sizes = [link.stat().st_size for link in links]
    assert delete_files(path) == sum(sizes)
    assert [link.read_bytes() for link in links] == [bytes(size) for size in sizes]


@pytest.mark.parametrize("use", [lambda path: Database(path).close(), read_extent, remove])
def test_the_log_of_a_killed_service_is_overwritten(
    path: Path, tmp_path: Path, use: Callable[[Path], object]
) -> None:
    left = tmp_path / "left" / path.name
    left.parent.mkdir()
    with Database(path) as database:
        database.add([summary(5)])
        for file in database_files(path):
            shutil.copy(file, left.parent)
    with left.with_name("history.db-wal").open("rb") as log:  # still leads to its blocks
        assert any(log.read())
        log.seek(0)
        use(left)
        assert not left.with_name("history.db-wal").exists()
        assert not any(log.read())
    assert use is remove or read_extent(left) == (5, 5, 1)


def test_a_log_that_is_still_in_use_is_not_overwritten(path: Path) -> None:
    with Database(path) as database:
        database.add([summary(5)])
        read_extent(path)
        assert is_open_elsewhere(path)
        database.add([summary(6)])
        assert read_extent(path) == (5, 6, 2)
    assert read_extent(path) == (5, 6, 2)


def test_where_a_link_leads_nothing_is_deleted(path: Path, tmp_path: Path) -> None:
    Database(path).close()
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep me")
    for suffix, target in (("-wal", precious), ("-journal", tmp_path / "nowhere")):
        path.with_name(f"history.db{suffix}").symlink_to(target)
    delete_files(path)
    assert list(path.parent.iterdir()) == []
    assert precious.read_bytes() == b"keep me"


def test_only_the_latest_damaged_one_is_kept(path: Path) -> None:
    for moment in (1e9, 2e9):
        Database(path).close()
        path.with_name("history.db-wal").touch()
        set_aside(path, moment)
    assert [file.name for file in files_set_aside(path)] == [
        "history.db.damaged-20330518T033320Z",
        "history.db.damaged-20330518T033320Z-wal",
    ]


def test_a_setting_aside_that_is_interrupted_is_begun_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(path).close()
    path.write_bytes(b"\xa5" * 5000)
    path.with_name("history.db-wal").touch()
    rename = type(path).rename
    moved: list[Path] = []

    def interrupted(file: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(file)
        return rename(file, target)

    monkeypatch.setattr(type(path), "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        set_aside(path, 1e9)
    with pytest.raises(HistoryDamagedError):  # not a new one beside an old log
        Database(path)


def test_a_name_that_looks_like_a_pattern_is_a_name(path: Path) -> None:
    path = path.with_name("[ab].db")
    Database(path).close()
    aside = set_aside(path, 1e9)
    other = aside.with_name(aside.name.replace("[ab]", "a"))
    other.touch()
    assert files_set_aside(path) == [aside]
    delete_files(path)
    assert list(path.parent.iterdir()) == [other]

"""What the doctor says of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.doctor.history import check_history
from serenbox.history.database import Database
from serenbox.settings.schema import HistorySettings
from tests.history_tool import MINUTE, summary
from tests.rights import closed

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("state")


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

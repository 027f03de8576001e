from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from serenbox.daemon.running_outputs import RunningOutputs
from serenbox.outputs.tap import Tap
from serenbox.settings.schema import Settings
from tests.test_web_app import Mqtt

if TYPE_CHECKING:
    from pathlib import Path


class Polite(Mqtt):
    """An output whose `close` waits until all others are being closed, too."""

    def __init__(self, farewell: threading.Barrier) -> None:
        self._farewell = farewell

    def close(self, timeout: float) -> None:
        self._farewell.wait(timeout)


def test_slow_farewells_do_not_add_up(tmp_path: Path) -> None:
    outputs = RunningOutputs(Settings(), print, tmp_path / "history.db", Tap())
    farewell = threading.Barrier(3)
    outputs.all = [Polite(farewell) for _ in range(3)]

    outputs.close(30)

    assert not farewell.broken
    assert farewell.n_waiting == 0

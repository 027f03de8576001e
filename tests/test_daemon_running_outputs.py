from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.running_outputs import RunningOutputs
from serenbox.errors import SettingsError
from serenbox.outputs.tap import Tap
from serenbox.settings.schema import (
    HistorySettings,
    HookSettings,
    MqttSettings,
    Settings,
    WebSettings,
)
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


def test_outputs_that_are_refused_leave_no_descriptor_open(tmp_path: Path) -> None:
    old = Settings()
    outputs = RunningOutputs(old, print, tmp_path / "history.db", Tap())
    new = Settings(
        mqtt=MqttSettings(enabled=True),
        history=HistorySettings(enabled=True),
        hooks=(HookSettings(("mood",), ("true",)),),
        web=WebSettings(enabled=True, host="0.0.0.0"),  # noqa: S104 - refused without a token
    )
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors have no paths
    for _ in range(20):
        with pytest.raises(SettingsError, match="token"):
            outputs.prepare(old, new)
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208

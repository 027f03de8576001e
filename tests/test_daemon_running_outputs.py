from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
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
    StdoutSettings,
    WebSettings,
)
from tests.mosquitto import listening, running_mosquitto
from tests.mqtt_output import OWN, mood, settings_for
from tests.web_box import Mqtt

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


def test_a_mood_that_a_broker_kept_does_not_meet_a_box_that_a_reload_puts_online(
    tmp_path: Path,
) -> None:
    old, none = Settings(), StdoutSettings(enabled=False)
    with running_mosquitto(tmp_path) as broker, listening(broker) as listener:
        listener.publish(f"{OWN}/mood", "yesterday's", retain=True)
        outputs = RunningOutputs(old, print, tmp_path / "history.db", Tap())
        new = outputs.prepare(old, replace(settings_for(broker.port), stdout=none))

        def tell_late() -> None:
            time.sleep(0.3)  # as if other outputs kept the processor busy
            new[0].mood(mood(7))

        outputs.exchange(new, 5.0, tell_late)
        listener.wait(f"{OWN}/availability")
        outputs.close(5.0)
        told = [one.topic for one in listener.received if one.topic.startswith(OWN)]
    assert told[:3] == [f"{OWN}/mood", f"{OWN}/mood", f"{OWN}/availability"]


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

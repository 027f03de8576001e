"""What the service answers over its control socket, and how it takes new settings."""

from __future__ import annotations

import logging
import math
import os
import threading
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.announcer import Announcer
from serenbox.daemon.answers import Answers
from serenbox.daemon.capture import CameraState, Capture
from serenbox.daemon.pause import Pause
from serenbox.daemon.reload import reload
from serenbox.daemon.running_outputs import RunningOutputs
from serenbox.daemon.state import PausedFlag
from serenbox.errors import SettingsError
from serenbox.outputs.tap import Tap
from serenbox.settings.schema import DeviceSettings, Settings
from tests.capture import QUICK, Device, wait_for
from tests.test_daemon_announcer import mood

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def outputs(tmp_path: Path) -> RunningOutputs:
    return RunningOutputs(Settings(), print, tmp_path / "history.db", Tap())


@pytest.fixture
def announcer() -> Announcer:
    return Announcer("box", [])


class SlowDevice(Device):
    """A camera that is closed only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.may_close = threading.Event()

    def close(self) -> None:
        assert self.may_close.wait(30)
        super().close()


@pytest.fixture
def device() -> SlowDevice:
    return SlowDevice()


@pytest.fixture
def capture(device: SlowDevice) -> Iterator[Capture]:
    capture = Capture(QUICK, device.open, threading.Event().set)
    yield capture
    device.may_close.set()
    capture.stop()
    assert capture.join(30)


@pytest.fixture
def answers(
    tmp_path: Path, announcer: Announcer, capture: Capture, outputs: RunningOutputs
) -> Answers:
    flag = PausedFlag(tmp_path / "state" / "paused")
    pause = Pause(flag, capture, Tap())
    return Answers(announcer, capture, pause, outputs, lambda: {"state": announcer.state})


def test_it_is_pausing_until_the_camera_is_closed(
    answers: Answers, capture: Capture, announcer: Announcer, device: SlowDevice
) -> None:
    capture.start()
    wait_for(lambda: capture.openings == 1)
    assert answers.answer("pause") == {"state": "pausing", "remembered": True, "problem": None}
    device.may_close.set()
    wait_for(lambda: capture.state is CameraState.PAUSED)
    announcer.became("paused")
    assert answers.answer("pause")["state"] == "paused"
    announcer.became("no_camera")
    assert answers.answer("resume") == {
        "state": "no_camera",
        "remembered": True,
        "problem": None,
    }
    assert not capture.paused


def test_a_pause_that_cannot_be_remembered_says_why(
    answers: Answers, capture: Capture, tmp_path: Path
) -> None:
    capture.start()
    (tmp_path / "state").touch()  # in place of the folder
    answer = answers.answer("pause")
    assert not answer["remembered"]
    assert "after a restart this will be forgotten" in answer["problem"]


def test_the_status(answers: Answers, capture: Capture, announcer: Announcer) -> None:
    capture.start()
    announcer.sensed(mood("happy", 0.123456789), (), 0.0)
    assert answers.answer("status") == {
        "state": "sensing",
        "mood": "happy",
        "confidence": 0.1235,
        "pid": os.getpid(),
    }


def test_other_requests(answers: Answers, capture: Capture) -> None:
    capture.start()
    assert answers.answer("delete history") == {"file": None}
    assert set(answers.answer("dance")) == {"error"}


@pytest.mark.usefixtures("face_model")
def test_what_a_reload_brings(outputs: RunningOutputs) -> None:
    old, new = Settings(), Settings(device=DeviceSettings(name="den"))
    reloaded = reload(lambda: new, old, outputs)
    assert reloaded is not None
    assert reloaded.settings is new
    assert [output.name for output in reloaded.outputs] == ["stdout"]


def test_a_reload_that_fails_says_why_in_a_sentence(
    outputs: RunningOutputs, caplog: pytest.LogCaptureFixture
) -> None:
    for error, said in (
        (SettingsError("line 3: fps is none"), "bad: line 3: fps is none"),
        (RuntimeError("odd"), "bad: RuntimeError('odd')"),
    ):

        def load(error: Exception = error) -> Settings:
            raise error

        assert reload(load, Settings(), outputs) is None
        assert caplog.records[-1].levelno == logging.ERROR
        assert caplog.messages[-1].endswith(said)


@pytest.mark.usefixtures("face_model")
def test_a_model_that_answers_nonsense_is_not_taken(
    outputs: RunningOutputs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serenbox.classifier._row_scores", lambda *_: [math.nan] * 7)
    assert reload(Settings, Settings(), outputs) is None
    assert "scores that are not numbers" in caplog.messages[-1]

"""Tests of which outputs the settings make."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from serenbox.errors import SettingsError
from serenbox.outputs.mqtt import MqttOutput
from serenbox.outputs.select import make_outputs, told_alike, unchanged_outputs
from serenbox.outputs.stdout import StdoutOutput
from serenbox.settings.schema import (
    CameraSettings,
    DeviceSettings,
    DiffuserSettings,
    HookSettings,
    MqttSettings,
    ServiceSettings,
    Settings,
    StdoutSettings,
    WebSettings,
)


def ignore(_: str) -> None:
    pass


def test_the_settings_decide() -> None:
    assert [type(output) for output in make_outputs(Settings(), ignore)] == [StdoutOutput]
    both = Settings(mqtt=MqttSettings(enabled=True))
    assert [output.name for output in make_outputs(both, ignore)] == ["stdout", "mqtt"]
    neither = Settings(stdout=StdoutSettings(enabled=False))
    assert make_outputs(neither, ignore) == []
    only = Settings(stdout=StdoutSettings(enabled=False), mqtt=MqttSettings(enabled=True))
    assert [type(output) for output in make_outputs(only, ignore)] == [MqttOutput]


def test_what_new_settings_do_not_concern_goes_on() -> None:
    hooks = (HookSettings(("mood",), ("true",)),)
    old = Settings(mqtt=MqttSettings(enabled=True))
    running = make_outputs(old, ignore)
    hooked = replace(old, hooks=hooks)
    assert told_alike(old, replace(old, camera=CameraSettings(fps=1)))
    assert told_alike(old, replace(old, service=ServiceSettings(log_level="debug")))
    assert not told_alike(old, hooked)
    kept = unchanged_outputs(running, old, hooked)
    assert kept == {"stdout": running[0], "mqtt": running[1]}
    outputs = make_outputs(hooked, ignore, kept)
    assert outputs[:2] == running
    assert [output.name for output in outputs] == ["stdout", "mqtt", "hooks"]
    changes: tuple[dict[str, Any], ...] = (
        {"device": DeviceSettings(name="den")},
        {"mqtt": MqttSettings(enabled=True, port=2)},
        {"diffuser": DiffuserSettings(enabled=True)},
        {"service": ServiceSettings(stats_interval=300)},
    )
    for change in changes:
        assert set(unchanged_outputs(running, old, replace(old, **change))) == {"stdout"}
    assert unchanged_outputs(running, old, replace(old, stdout=StdoutSettings(moods=True))) == {
        "mqtt": running[1]
    }
    for output in outputs:
        output.close(1)


def test_what_the_diffuser_does_disturbs_no_listener() -> None:
    """They get it with the moods: neither MQTT nor the page needs to start again for it."""
    web = WebSettings(enabled=True)
    old = Settings(mqtt=MqttSettings(enabled=True), web=web, diffuser=DiffuserSettings())
    running = make_outputs(old, ignore)
    assert [output.name for output in running] == ["stdout", "mqtt", "web"]
    new = replace(old, diffuser=DiffuserSettings(happy="A"))
    assert not told_alike(old, new)
    assert make_outputs(new, ignore, unchanged_outputs(running, old, new)) == running
    changes: tuple[dict[str, Any], ...] = (
        {"web": replace(web, streams=2)},
        {"mqtt": MqttSettings(enabled=True, port=2)},
        {"stdout": StdoutSettings(enabled=False)},
        {"hooks": (HookSettings(("mood",), ("true",)),)},
    )
    for change in changes:
        assert "web" not in unchanged_outputs(running, old, replace(old, **change))
    for output in running:
        output.close(1)


def test_what_is_off_is_no_concern() -> None:
    old = Settings()
    assert told_alike(old, replace(old, mqtt=MqttSettings(port=2)))
    assert told_alike(old, replace(old, service=ServiceSettings(stats_interval=300)))
    assert not told_alike(old, replace(old, mqtt=MqttSettings(enabled=True)))
    assert not told_alike(old, replace(old, device=DeviceSettings(name="den")))
    assert not told_alike(old, replace(old, web=WebSettings(preview=False)))


def test_an_impossible_topic_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.prefix"):
        make_outputs(Settings(mqtt=MqttSettings(enabled=True, prefix="a+")), ignore)


def test_an_output_that_was_never_started_can_be_closed() -> None:
    for output in make_outputs(Settings(mqtt=MqttSettings(enabled=True)), ignore):
        output.event({})
        output.close(1)
        assert output.health()["connected"] is False
        assert output.health()["dropped"] == 1


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys\n"
        "from serenbox.outputs.select import make_outputs\n"
        "from serenbox.settings.schema import MqttSettings, Settings\n"
        "make_outputs(Settings(mqtt=MqttSettings(enabled=True)), print)\n"
        "print([name for name in ('paho', 'ssl', 'cv2', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

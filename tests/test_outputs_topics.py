"""Tests of the names of topics."""

from __future__ import annotations

import pytest

from serenbox.errors import SettingsError
from serenbox.outputs.topics import Topics
from serenbox.settings.schema import MqttSettings


def test_topics() -> None:
    topics = Topics.of("den", MqttSettings(prefix="home/boxes/", discovery_prefix="ha"))
    assert topics == Topics(
        own="home/boxes/den",
        availability="home/boxes/den/availability",
        mood="home/boxes/den/mood",
        event="home/boxes/den/event",
        stats="home/boxes/den/stats",
        slot="home/boxes/den/slot",
        command="home/boxes/den/command",
        discovery="ha/device/serenbox_den/config",
        birth="homeassistant/status",
    )
    assert topics.client == "home-boxes-den"


@pytest.mark.parametrize(
    ("device", "settings", "key"),
    [
        ("a+b", MqttSettings(), "device.name"),
        ("", MqttSettings(), "device.name"),
        ("den", MqttSettings(prefix="a/#"), "mqtt.prefix"),
        ("den", MqttSettings(prefix="/"), "mqtt.prefix"),
        ("den", MqttSettings(discovery_prefix="a\0b"), "mqtt.discovery_prefix"),
    ],
)
def test_impossible_names_are_refused(device: str, settings: MqttSettings, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{key} = .* cannot be part of an MQTT topic"):
        Topics.of(device, settings)

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


def test_boxes_with_topics_of_their_own_are_clients_of_their_own() -> None:
    """Otherwise each would end the connection of the other."""
    boxes = [("a/b", "c"), ("a", "b-c"), ("a-b", "c"), ("a_/b", "c"), ("a", "b_-c"), ("a//b", "c")]
    topics = [Topics.of(device, MqttSettings(prefix=prefix)) for prefix, device in boxes]
    assert len({each.client for each in topics}) == len(boxes)
    assert not any("/" in each.client for each in topics)


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

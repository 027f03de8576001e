"""Tests of what Home Assistant is told, against the rules of its MQTT integration.

The rules below are those of `schemas.py`, `sensor.py`, `switch.py` and `event.py` of its MQTT
integration (2024.11 and later): which keys exist, which are required, and which exclude others.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jinja2
import pytest

from serenbox.outputs.homeassistant import discovery_message, identifier
from serenbox.outputs.messages import HEARTBEAT, MOOD_LABELS, event_message, mood_message
from serenbox.outputs.topics import Topics
from serenbox.settings.schema import MqttSettings

TOPICS = Topics.of("den", MqttSettings())
MESSAGE = discovery_message("den", TOPICS, version="1.2.3", stats_interval=30.0, diffuser=True)
COMPONENTS: dict[str, dict[str, Any]] = MESSAGE["components"]

ROOT = {
    *("device", "origin", "components", "state_topic", "command_topic", "qos", "encoding"),
    *("availability_topic", "availability_template", "payload_available"),
    *("payload_not_available", "availability", "availability_mode"),
}
DEVICE = {
    *("identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version"),
    *("serial_number", "sw_version", "via_device", "suggested_area", "configuration_url"),
}
ORIGIN = {"name", "sw_version", "support_url"}
ENTITY = {
    *("platform", "unique_id", "name", "icon", "entity_category", "enabled_by_default"),
    *("json_attributes_topic", "json_attributes_template", "value_template", "state_topic"),
    *("qos", "encoding", "device_class", "default_entity_id", "entity_picture"),
}
PLATFORMS = {
    "sensor": ENTITY
    | {"expire_after", "force_update", "last_reset_value_template", "options"}
    | {"suggested_display_precision", "state_class", "unit_of_measurement"},
    "switch": ENTITY
    | {"command_topic", "command_template", "optimistic", "payload_on", "payload_off"}
    | {"state_on", "state_off", "retain"},
    "event": ENTITY | {"event_types"},
}
STATE_CLASSES = {"measurement", "measurement_angle", "total", "total_increasing"}


def test_the_root_has_only_what_is_known_and_all_that_is_required() -> None:
    assert set(MESSAGE) <= ROOT
    assert {"device", "origin", "components"} <= set(MESSAGE)
    assert set(MESSAGE["device"]) <= DEVICE
    assert MESSAGE["device"]["identifiers"] == ["serenbox_den"]
    assert set(MESSAGE["origin"]) <= ORIGIN
    assert MESSAGE["origin"]["name"]
    assert MESSAGE["availability_topic"] == "serenbox/den/availability"
    assert (MESSAGE["payload_available"], MESSAGE["payload_not_available"]) == (
        "online",
        "offline",
    )
    json.dumps(MESSAGE, allow_nan=False)


@pytest.mark.parametrize("key", COMPONENTS)
def test_every_component_has_only_what_is_known(key: str) -> None:
    component = COMPONENTS[key]
    assert set(component) <= PLATFORMS[component["platform"]]
    assert component["qos"] == 1  # in each: versions differ on whether one in the root holds
    assert component["unique_id"] == f"serenbox_den_{key}"
    assert component["state_topic"] in {TOPICS.mood, TOPICS.event, TOPICS.stats, TOPICS.slot}
    assert component.get("entity_category", "diagnostic") in {"diagnostic", "config"}
    assert re.fullmatch(r"mdi:[a-z-]+", component.get("icon", "mdi:x"))


@pytest.mark.parametrize(
    "key", [key for key in COMPONENTS if COMPONENTS[key]["platform"] == "sensor"]
)
def test_every_sensor_obeys_the_rules(key: str) -> None:
    sensor = COMPONENTS[key]
    assert isinstance(sensor["expire_after"], int)
    assert sensor["expire_after"] > 0
    if "options" in sensor:
        assert sensor["options"]
        assert sensor["device_class"] == "enum"
        assert not {"state_class", "unit_of_measurement"} & set(sensor)
    else:
        assert sensor["state_class"] in STATE_CLASSES
    if sensor.get("device_class") == "temperature":
        assert sensor["unit_of_measurement"] in {"°C", "°F", "K"}


def test_values_expire_only_after_several_heartbeats() -> None:
    assert COMPONENTS["mood"]["expire_after"] >= 2 * HEARTBEAT
    assert COMPONENTS["fps"]["expire_after"] >= 2 * 30
    for key in ("sensing", "mood_change"):  # Home Assistant has no such key there
        assert "expire_after" not in COMPONENTS[key]
    slow = discovery_message("den", TOPICS, version="1", stats_interval=3600)
    assert slow["components"]["fps"]["expire_after"] >= 2 * 3600


def test_the_switch_sends_commands_that_the_box_takes() -> None:
    switch = COMPONENTS["sensing"]
    assert switch["command_topic"] == TOPICS.command
    assert (switch["payload_on"], switch["payload_off"]) == ("resume", "pause")
    assert not switch.get("retain")


def render(key: str, message: dict[str, Any]) -> str:
    """Fill a component's template in as Home Assistant does."""
    strict = jinja2.StrictUndefined
    environment = jinja2.Environment(undefined=strict, autoescape=False)  # noqa: S701 - no HTML
    environment.filters["to_json"] = json.dumps
    template = environment.from_string(COMPONENTS[key]["value_template"])
    return str(template.render(value_json=message))


@pytest.mark.parametrize("label", MOOD_LABELS)
def test_every_mood_is_one_of_the_options(label: str) -> None:
    message = mood_message("den", 0.0, "sensing", None, 0.0) | {"mood": label}
    assert render("mood", message) in COMPONENTS["mood"]["options"]
    event = json.loads(render("mood_change", event_message(message, "sad")))
    assert event == {"event_type": label, "previous": "sad", "confidence": 0.0}
    assert event["event_type"] in COMPONENTS["mood_change"]["event_types"]


@pytest.mark.parametrize(
    ("confidence", "shown"), [(0.0, "0"), (0.93, "95"), (0.924, "90"), (1.0, "100")]
)
def test_confidence_comes_in_steps(confidence: float, shown: str) -> None:
    message = mood_message("den", 0.0, "sensing", None, 0.0) | {"confidence": confidence}
    assert render("confidence", message) == shown


@pytest.mark.parametrize(
    ("state", "shown"), [("sensing", "on"), ("no_camera", "on"), ("paused", "off")]
)
def test_the_switch_shows_the_state(state: str, shown: str) -> None:
    message = mood_message("den", 0.0, state, None, 0.0)  # type: ignore[arg-type]
    assert render("sensing", message) == shown
    assert COMPONENTS["sensing"][f"state_{shown}"] == shown
    assert render("faces", message) == "0"


def test_the_slot_of_the_diffuser_is_shown_as_it_comes() -> None:
    assert COMPONENTS["slot"]["options"] == ["A", "B", "off"]
    assert COMPONENTS["slot"]["state_topic"] == "serenbox/den/slot"
    assert "value_template" not in COMPONENTS["slot"]
    assert COMPONENTS["slot"]["expire_after"] >= 2 * HEARTBEAT
    without = discovery_message("den", TOPICS, version="1", stats_interval=30)["components"]
    assert without["slot"] == {"platform": "sensor"}  # this removes an announced slot
    assert set(without) == set(COMPONENTS)


def test_an_unknown_temperature_reads_as_none() -> None:
    assert render("temperature", {"temperature_c": None}) == "None"
    assert render("temperature", {"temperature_c": 48.3}) == "48.3"
    assert render("fps", {"fps": 9.5}) == "9.5"


def test_boxes_have_identifiers_of_their_own() -> None:
    assert identifier("serenbox") == "serenbox"
    assert identifier("den") == "serenbox_den"
    assert identifier("serenbox_den") != identifier("den")
    assert discovery_message("serenbox", TOPICS, version="1", stats_interval=30)["device"][
        "name"
    ] == ("SerenBox")
    assert MESSAGE["device"]["name"] == "SerenBox den"

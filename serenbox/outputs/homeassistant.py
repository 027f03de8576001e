"""Home Assistant's MQTT device discovery: one message that announces the box and all it offers.

The format is that of Home Assistant 2024.11 and later, with long key names:
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from serenbox.outputs.messages import HEARTBEAT, MOOD_LABELS
from serenbox.settings.schema import Slot

if TYPE_CHECKING:
    from serenbox.outputs.topics import Topics

_PATIENCE = 3
"""Heartbeats without a message after which Home Assistant marks a value unavailable."""

_REMOVED_DIFFUSER = {"slot": {"platform": "sensor"}}
"""Removes the sensor: a component with only a platform is deleted, one left out would stay."""


def discovery_message(
    device: str, topics: Topics, *, version: str, stats_interval: float, diffuser: bool = False
) -> dict[str, Any]:
    """Build the message for `Topics.discovery`.

    Args:
        device: The name of the box, of letters, digits, - and _.
        topics: Where it publishes.
        version: SerenBox's version.
        stats_interval: Seconds between statistics.
        diffuser: Whether the box has one.

    """
    components = _mood_components(topics) | _stats_components(topics, stats_interval)
    if diffuser:
        components |= _diffuser_component(topics)
    for key, component in components.items():
        component["unique_id"] = f"{identifier(device)}_{key}"
        component["qos"] = 1  # per component: not every version passes on a common one
    if not diffuser:
        components |= _REMOVED_DIFFUSER
    return {
        "device": {
            "identifiers": [identifier(device)],
            "name": "SerenBox" if device == "serenbox" else f"SerenBox {device}",
            "manufacturer": "SerenBox",
            "model": "SerenBox",
            "sw_version": version,
        },
        "origin": {"name": "SerenBox", "sw_version": version},
        "availability_topic": topics.availability,
        "payload_available": "online",
        "payload_not_available": "offline",
        "components": components,
    }


def identifier(device: str) -> str:
    """Return the unique ID of the box among Home Assistant's devices."""
    own = device.startswith("serenbox") and not device.startswith("serenbox_")
    return device if own else f"serenbox_{device}"


def _mood_components(topics: Topics) -> dict[str, dict[str, Any]]:
    expire_after = int(_PATIENCE * HEARTBEAT)
    present = {"platform": "sensor", "state_topic": topics.mood, "expire_after": expire_after}
    return {
        "mood": {
            **present,
            "name": "Mood",
            "device_class": "enum",
            "options": list(MOOD_LABELS),
            "value_template": "{{ value_json.mood }}",
            "icon": "mdi:emoticon-outline",
        },
        "confidence": {
            **present,
            "name": "Confidence",
            # Steps of 5 %: Home Assistant stores every change, and scores change every second.
            "value_template": "{{ (value_json.confidence * 20) | round(0) | int * 5 }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "icon": "mdi:gauge",
        },
        "faces": {
            **present,
            "name": "Faces",
            "value_template": "{{ value_json.face_count }}",
            "state_class": "measurement",
            "icon": "mdi:face-recognition",
        },
        "mood_change": {
            "platform": "event",
            "name": "Mood change",
            "state_topic": topics.event,
            "event_types": list(MOOD_LABELS),
            "value_template": (
                "{{ {'event_type': value_json.mood, 'previous': value_json.previous, "
                "'confidence': value_json.confidence} | to_json }}"
            ),
            "icon": "mdi:emoticon-outline",
        },
        "sensing": {
            "platform": "switch",
            "name": "Sensing",
            "command_topic": topics.command,
            "payload_on": "resume",
            "payload_off": "pause",
            "state_topic": topics.mood,
            "value_template": "{{ 'off' if value_json.state == 'paused' else 'on' }}",
            "state_on": "on",
            "state_off": "off",
            "icon": "mdi:eye",
        },
    }


def _diffuser_component(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "slot": {
            "platform": "sensor",
            "name": "Diffuser",
            "device_class": "enum",
            "options": list(get_args(Slot)),
            "state_topic": topics.slot,
            "expire_after": int(_PATIENCE * HEARTBEAT),
            "icon": "mdi:scent",
        }
    }


def _stats_components(topics: Topics, stats_interval: float) -> dict[str, dict[str, Any]]:
    diagnostic = {
        "platform": "sensor",
        "state_topic": topics.stats,
        "expire_after": max(1, round(_PATIENCE * stats_interval)),
        "entity_category": "diagnostic",
        "state_class": "measurement",
    }
    return {
        "fps": {
            **diagnostic,
            "name": "Frames per second",
            "value_template": "{{ value_json.fps }}",
            "unit_of_measurement": "fps",
            "icon": "mdi:speedometer",
        },
        "temperature": {
            **diagnostic,
            "name": "Processor temperature",
            "device_class": "temperature",
            # Null becomes None here, which Home Assistant reads as unknown.
            "value_template": "{{ value_json.temperature_c }}",
            "unit_of_measurement": "°C",
        },
    }

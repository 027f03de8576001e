"""The MQTT topics of a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.errors import SettingsError
from serenbox.outputs.homeassistant import identifier

if TYPE_CHECKING:
    from serenbox.settings.schema import MqttSettings


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one box; see `docs/mqtt.md`."""

    own: str
    """What all of the box's own topics begin with."""
    availability: str
    mood: str
    event: str
    stats: str
    slot: str
    command: str
    discovery: str
    """Where Home Assistant looks for devices."""
    birth: str = "homeassistant/status"
    """Where Home Assistant says that it has started; does not depend on the discovery prefix."""

    @property
    def client(self) -> str:
        """The box's MQTT client ID: no other prefix and name give the same.

        Always the same, so that a box that reconnects ends its own old connection at once;
        otherwise the last will of that connection would say offline later. Without slashes, which
        some access lists do not allow; what stands for one is escaped where it is in a name.
        """
        return self.own.replace("_", "__").replace("-", "_-").replace("/", "-")

    @classmethod
    def of(cls, device: str, settings: MqttSettings) -> Topics:
        """Return the topics of a box.

        Args:
            device: Its name.
            settings: The prefixes; slashes at either end do not matter.

        Raises:
            SettingsError: A name cannot be part of a topic.

        """
        own = f"{_part('mqtt.prefix', settings.prefix)}/{_part('device.name', device)}"
        home = _part("mqtt.discovery_prefix", settings.discovery_prefix)
        return cls(
            own=own,
            availability=f"{own}/availability",
            mood=f"{own}/mood",
            event=f"{own}/event",
            stats=f"{own}/stats",
            slot=f"{own}/slot",
            command=f"{own}/command",
            discovery=f"{home}/device/{identifier(device)}/config",
        )


def _part(key: str, text: str) -> str:
    part = text.strip("/")
    if not part or not part.isprintable() or {"+", "#"} & set(part):
        raise SettingsError(
            f"{key} = {text!r} cannot be part of an MQTT topic: use letters, digits, - and _"
        )
    return part

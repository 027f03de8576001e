"""The MQTT output for tests: short pauses, messages to publish, and what it complains of."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serenbox.outputs.messages import event_message, mood_message
from serenbox.outputs.mqtt import MqttOutput
from serenbox.outputs.mqtt_access import Patience
from serenbox.settings.schema import DeviceSettings, DiffuserSettings, MqttSettings, Settings
from tests.mosquitto import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HURRIED = Patience(connect=1.0, first_pause=0.02, longest_pause=0.2, brief=0.0, steady=0.0)
OWN = "serenbox/den"


def settings_for(
    port: int,
    *,
    diffuser: bool = False,
    **mqtt: Any,  # noqa: ANN401 - values of settings
) -> Settings:
    """Return the settings of a box with a broker on this machine."""
    return Settings(
        device=DeviceSettings(name="den"),
        mqtt=replace(MqttSettings(enabled=True, host="127.0.0.1", port=port), **mqtt),
        diffuser=DiffuserSettings(enabled=diffuser),
    )


@contextmanager
def publishing(
    port: int,
    commands: Callable[[str], None] = lambda _: None,
    patience: Patience = HURRIED,
    *,
    connected: bool = True,
    goodbye: float = 5.0,
    **mqtt: Any,  # noqa: ANN401 - settings
) -> Iterator[MqttOutput]:
    """Run the output, by default from its connection on, and close it."""
    output = MqttOutput(settings_for(port, **mqtt), commands, version="1.2.3", patience=patience)
    output.start()
    try:
        if connected:
            wait_for(lambda: output.health()["connected"], "the connection")
        yield output
    finally:
        output.close(goodbye)
        assert not output._thread.is_alive()


def mood(number: int = 0) -> dict[str, Any]:
    return mood_message("den", float(number), "sensing", None, 0.0)


def event(number: int) -> dict[str, Any]:
    return event_message(mood(number), "happy") | {"number": number}


def numbers(messages: list[Any]) -> list[int]:
    return [json.loads(message.payload)["number"] for message in messages]


def problem(output: MqttOutput) -> str:
    """Wait until the output complains, and return what it says."""
    wait_for(lambda: output.health()["problem"], "a problem")
    return str(output.health()["problem"])

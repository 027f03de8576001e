"""Picks the outputs that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.outputs.base import Output
    from serenbox.outputs.tap import Tap
    from serenbox.settings.schema import Settings


def make_outputs(
    settings: Settings, commands: Callable[[str], None], tap: Tap | None = None
) -> list[Output]:
    """Return the outputs that are turned on, not started yet.

    Args:
        settings: The whole configuration.
        commands: Called with `pause` or `resume`, from an output's thread, when somebody asks for
            it, with `report` where the web page wants new statistics, and with `stats` where all
            outputs are to be told them; must return at once.
        tap: Where frames branch off for the web page's live preview; without one there is none.

    Raises:
        SettingsError: A topic's name is impossible, or the web page lacks a token or a package.

    """
    outputs: list[Output] = []
    if settings.stdout.enabled:
        from serenbox.outputs.stdout import StdoutOutput

        outputs.append(StdoutOutput(moods=settings.stdout.moods))
    if settings.mqtt.enabled:
        from serenbox.outputs.mqtt import MqttOutput

        outputs.append(MqttOutput(settings, commands, version=_version()))
    if settings.web.enabled:
        from serenbox.web.output import WebOutput

        outputs.append(WebOutput(settings, commands, outputs, tap))
    return outputs


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("serenbox")
    except PackageNotFoundError:  # running from a checkout
        return "unknown"

"""Picks the outputs that the settings ask for."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from serenbox.installed import installed_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from serenbox.outputs.base import Output
    from serenbox.outputs.tap import Tap
    from serenbox.settings.schema import Settings


def _if_on(table: str, *concerns: str) -> Callable[[Settings], object]:
    """Return a function that gives the settings an output depends on; None if not enabled."""
    enabled, those = attrgetter(f"{table}.enabled"), attrgetter(*concerns)
    return lambda settings: those(settings) if enabled(settings) else None


_CONCERNS: dict[str, Callable[[Settings], object]] = {
    "stdout": _if_on("stdout", "stdout"),
    # The announcement tells Home Assistant how often statistics come, and whether there is a
    # diffuser. What the diffuser does is in the moods.
    "mqtt": _if_on("mqtt", "device", "mqtt", "diffuser.enabled", "service.stats_interval"),
    "history": _if_on("history", "history"),
    "hooks": attrgetter("hooks"),
}
"""The settings that each output depends on, by its name. The web page is not here: it also depends
on the other outputs."""

_of_page = _if_on("web", "device", "web")


def make_outputs(
    settings: Settings,
    commands: Callable[[str], None],
    running: Mapping[str, Output] | None = None,
    *,
    history: Path | None = None,
    tap: Tap | None = None,
) -> list[Output]:
    """Return the enabled outputs: those in `running` as they are, the others not started yet.

    Args:
        settings: The whole configuration.
        commands: Called from an output's thread, with `pause` or `resume` when somebody asks for
            it, with `report` when the web page wants new statistics, and with `stats` to send
            statistics to all outputs; must return at once.
        running: Running outputs to reuse, by name; see `unchanged_outputs`.
        history: The database of the history; None for the one in this process's state directory.
        tap: Where the web page's live preview gets frames; None for no preview.

    Raises:
        SettingsError: A topic's name is invalid, or the web page lacks a token or a package.

    """
    running = running or {}
    outputs: list[Output] = []
    if settings.stdout.enabled:
        from serenbox.outputs.stdout import StdoutOutput

        outputs.append(running.get("stdout") or StdoutOutput(moods=settings.stdout.moods))
    if settings.mqtt.enabled:
        from serenbox.outputs.mqtt import MqttOutput

        mqtt = running.get("mqtt") or MqttOutput(settings, commands, version=installed_version())
        outputs.append(mqtt)
    if settings.history.enabled:
        from serenbox.daemon.paths import service_paths
        from serenbox.history.output import HistoryOutput

        path = history or service_paths().history
        outputs.append(running.get("history") or HistoryOutput(settings.history, path))
    if settings.hooks:
        from serenbox.hooks.output import HookOutput

        outputs.append(running.get("hooks") or HookOutput(settings.hooks))
    if settings.web.enabled:
        from serenbox.web.output import WebOutput

        outputs.append(running.get("web") or WebOutput(settings, commands, outputs, tap))
    return outputs


def told_alike(old: Settings, new: Settings) -> bool:
    """Return whether both settings result in the same outputs."""
    # Messages contain the name of the box and what the diffuser does.
    alike = (old.web, old.device, old.diffuser) == (new.web, new.device, new.diffuser)
    return alike and _others_alike(old, new)


def unchanged_outputs(outputs: Sequence[Output], old: Settings, new: Settings) -> dict[str, Output]:
    """Return the outputs that new settings do not affect, by name.

    They keep running when others change, so that MQTT listeners notice nothing. The web page, which
    shows the others, stays only if all of them do.
    """
    alike = {name: of(old) == of(new) for name, of in _CONCERNS.items()}
    alike["web"] = _of_page(old) == _of_page(new) and _others_alike(old, new)
    return {output.name: output for output in outputs if alike.get(output.name)}


def _others_alike(old: Settings, new: Settings) -> bool:
    return all(of(old) == of(new) for of in _CONCERNS.values())

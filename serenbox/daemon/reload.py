"""Reads the configuration and the models again, while the service goes on with the old ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from serenbox.errors import SerenBoxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.daemon.pipeline import Pipeline
    from serenbox.daemon.running_outputs import RunningOutputs
    from serenbox.outputs.base import Output
    from serenbox.settings.schema import Settings

_log = logging.getLogger("serenbox.service")


class Reloaded(NamedTuple):
    """What is to take the place of the old."""

    settings: Settings
    pipeline: Pipeline
    """Its models have been run once."""
    outputs: list[Output]
    """For `RunningOutputs.exchange`."""


def reload(load: Callable[[], Settings], old: Settings, running: RunningOutputs) -> Reloaded | None:
    """Return what the configuration now asks for; None, with a line in the log, if it is bad.

    Args:
        load: Reads the configuration.
        old: The settings in use.
        running: The outputs in use.

    """
    # The service opens the camera before it has this module.
    from serenbox.daemon.pipeline import Pipeline

    try:
        new = load()
        pipeline = Pipeline(new)
        pipeline.rehearse()
        return Reloaded(new, pipeline, running.prepare(old, new))
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the old one works
        reason = str(error) if isinstance(error, SerenBoxError) else repr(error)
        _log.error("the old configuration stays, because the new one is bad: %s", reason)
        _log.debug("what was wrong with it", exc_info=error)
        return None

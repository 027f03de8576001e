"""The page on a real port."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from serenbox.outputs.messages import mood_message
from serenbox.settings.schema import Settings, WebSettings
from serenbox.web.output import WebOutput
from tests.mosquitto import wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSED = mood_message("box", 0.0, "paused", None, 0.0)
LOST = mood_message("box", 0.0, "no_camera", None, 0.0)


class Page:
    """A running output and what it has asked the daemon for."""

    def __init__(self, streams: int = 8) -> None:
        self.port = free_port()
        self.commands: list[str] = []
        web = WebSettings(enabled=True, port=self.port, streams=streams)
        self.output = WebOutput(Settings(web=web), self.commands.append)
        self.output.start()
        self.output.mood(LOST)
        wait_for(lambda: self.output.health()["connected"], "the page")


@contextmanager
def running_page() -> Iterator[Page]:
    """Run a page, and make sure that it ends."""
    running = Page()
    yield running
    running.output.close(5)
    assert not running.output._thread.is_alive()

"""The page on a real port."""

from __future__ import annotations

from serenbox.outputs.messages import mood_message
from serenbox.settings.schema import Settings, WebSettings
from serenbox.web.output import WebOutput
from tests.mosquitto import wait_for
from tests.ports import free_port

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

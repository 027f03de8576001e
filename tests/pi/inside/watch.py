"""Listens to everything that the box publishes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "serenbox/serenbox/"


class Watcher:
    """Remembers messages, in their order, since the last `mark`.

    Args:
        patience: Seconds to wait for a message.

    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._messages: list[tuple[str, str]] = []
        self._news = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{PREFIX}#")
        self._client.on_message = self._remember
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("localhost")
        self._client.loop_start()

    def mark(self) -> None:
        """Forget what came so far."""
        with self._news:
            self._messages.clear()

    def last(self, topic: str) -> str:
        """Return the last message on a topic."""
        with self._news:
            return next(text for name, text in reversed(self._messages) if name == topic)

    def wait(self, topic: str, fits: Callable[[str], bool], after: str | None = None) -> None:
        """Wait for a message.

        Args:
            topic: Its topic, below the box's.
            fits: Whether a text is that of the message.
            after: If given, the message must come after an availability of this text.

        """
        deadline = time.monotonic() + self._patience
        with self._news:
            while not any(name == topic and fits(text) for name, text in self._since(after)):
                left = deadline - time.monotonic()
                assert left > 0, f"{topic} did not come; there were {self._messages[-5:]}"
                self._news.wait(left)

    def _since(self, availability: str | None) -> list[tuple[str, str]]:
        if availability is None:
            return self._messages
        entry = ("availability", availability)
        if entry not in self._messages:
            return []
        return self._messages[self._messages.index(entry) + 1 :]

    def _remember(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._news:
            text = message.payload.decode()
            self._messages.append((message.topic.removeprefix(PREFIX), text))
            self._news.notify_all()

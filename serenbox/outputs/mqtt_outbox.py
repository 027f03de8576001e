"""What is sent over MQTT, to which topics, and in what order."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from serenbox.outputs.homeassistant import discovery_message
from serenbox.outputs.mqtt_slot import OFF, SlotTopic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serenbox.outputs.mqtt_session import Session
    from serenbox.outputs.queueing import Mailbox
    from serenbox.outputs.topics import Topics
    from serenbox.settings.schema import Settings


class Outbox:
    """Sends the announcements of a new connection, then what the mailbox holds, then the goodbye.

    Args:
        settings: The whole configuration.
        topics: Where to publish.
        mailbox: Where the messages come from.
        version: SerenBox's version.

    """

    def __init__(self, settings: Settings, topics: Topics, mailbox: Mailbox, version: str) -> None:
        self._topics = topics
        self._mailbox = mailbox
        discovery = discovery_message(
            settings.device.name,
            topics,
            version=version,
            stats_interval=settings.service.stats_interval,
            diffuser=settings.diffuser.enabled,
        )
        self._discovery = _as_json(discovery) if settings.mqtt.discovery else None
        self._slot = SlotTopic() if settings.diffuser.enabled else None
        self._announcements: list[tuple[str, str]] = []
        self._given_up: list[tuple[str, str]] = []
        self.last_mood: Mapping[str, Any] | None = None
        """The mood that a new connection announces; any thread may set it."""

    @property
    def retained(self) -> dict[str, str]:
        """Map the topic of each retained message to the announcement's text, or else to ""."""
        topics = dict.fromkeys((self._topics.mood, self._topics.availability), "")
        topics |= {self._topics.slot: ""} if self._slot is not None else {}
        topics |= {self._topics.discovery: self._discovery} if self._discovery is not None else {}
        return topics

    def give_up(self, kept: Mapping[str, str]) -> None:
        """Have `say_goodbye` clear the retained topics not in `kept`, those of the new outputs.

        The announcement is cleared, or replaced by the new one, first, so that Home Assistant does
        not take the clearing of the others for news.
        """
        gone = [topic for topic in self.retained if topic not in kept]
        self._given_up = [(topic, "") for topic in gone if topic != self._topics.discovery]
        if gone and self._discovery is not None:
            announcement = kept.get(self._topics.discovery, "")
            self._given_up.insert(0, (self._topics.discovery, announcement))

    def announce(self) -> None:
        """Queue what a new connection, or a Home Assistant that has just started, needs.

        Slot and mood come first, so that old ones that the broker kept never stand beside `online`.
        """
        self._announcements = []
        if self._slot is not None:
            self._slot.take(self.last_mood or {})
            self._announcements.append((self._topics.slot, self._slot.again(time.monotonic())))
        if self.last_mood is not None:
            self._announcements.append((self._topics.mood, _as_json(self.last_mood)))
        self._announcements.append((self._topics.availability, "online"))
        if self._discovery is not None:
            self._announcements.append((self._topics.discovery, self._discovery))

    def send(self, session: Session) -> bool:
        """Send as much as the broker keeps up with; return whether nothing is left to send."""
        waiting = True
        while waiting and session.has_room:
            waiting = self._send_next(session)
        return not waiting

    def say_goodbye(self, session: Session) -> None:
        """Publish that the box is gone, and clear what was given up."""
        if self._slot is not None:
            session.publish(self._topics.slot, OFF, qos=1, retain=True)
        session.publish(self._topics.availability, "offline", qos=1, retain=True)
        for topic, text in self._given_up:
            session.publish(topic, text, qos=1, retain=True)

    def _send_next(self, session: Session) -> bool:
        if self._announcements:
            topic, announcement = self._announcements.pop(0)
            session.publish(topic, announcement, qos=1, retain=True)
            return True
        taken = self._mailbox.take()
        if taken is None:
            return False
        kind, message = taken
        topics = {
            "mood": self._topics.mood,
            "event": self._topics.event,
            "stats": self._topics.stats,
        }
        session.publish(
            topics[kind],
            _as_json(message),
            qos=0 if kind == "stats" else 1,
            retain=kind == "mood",
            event=kind == "event",
        )
        if kind == "mood" and self._slot is not None:
            slot = self._slot.news(message, time.monotonic())
            self._announcements += [(self._topics.slot, slot)] if slot else []
        return True


def _as_json(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)

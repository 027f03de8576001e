"""Publishes over MQTT, whatever the broker does; `docs/mqtt.md` describes topics and messages."""

from __future__ import annotations

import logging
import select
import threading
import time
from typing import TYPE_CHECKING, Any

from serenbox.outputs.mqtt_access import (
    BrokerError,
    Patience,
    address,
    denial,
    taken_over,
)
from serenbox.outputs.mqtt_commands import CommandReader
from serenbox.outputs.mqtt_outbox import Outbox
from serenbox.outputs.mqtt_retries import Retries
from serenbox.outputs.mqtt_session import Session
from serenbox.outputs.queueing import Mailbox
from serenbox.outputs.topics import Topics
from serenbox.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serenbox.settings.schema import Settings

_log = logging.getLogger("serenbox.outputs")

_LONGEST_SLEEP = 5.0
"""Maximum seconds between checks of the keepalive, which may itself be as short."""


class MqttOutput:
    """Publishes to a broker, trying to connect in the background for as long as it takes.

    Within one connection every event arrives once and in order. Events that occur while there is
    none are dropped: the retained mood, published on every connection, says what is current.

    Args:
        settings: The broker, the names of the topics, and what Home Assistant needs to know.
        commands: Called with `pause` or `resume` in this output's thread; must return at once.
        version: SerenBox's version.
        patience: How long to wait for what.

    Raises:
        SettingsError: A prefix or the name of the box cannot be part of a topic.

    """

    name = "mqtt"

    def __init__(
        self,
        settings: Settings,
        commands: Callable[[str], None],
        *,
        version: str,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings.mqtt
        self._topics = Topics.of(settings.device.name, settings.mqtt)
        self._commands = CommandReader(commands)
        self._patience = patience or Patience()
        self._waker: Waker | None = None
        self._needs_waker = {"close"}
        self._leaving = threading.Lock()
        self._mailbox = Mailbox(self._wake)
        self._outbox = Outbox(settings, self._topics, self._mailbox, version)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._closing = False
        self._deadline = 0.0
        self._modern = True
        self._old_broker = False
        self._connected_since: float | None = None
        self._published = 0
        self._published_before = 0
        self._problem: BrokerError | None = None
        self._retries = Retries(self._patience)

    def start(self) -> None:
        """Begin to connect."""
        self._waker = Waker()
        self._needs_waker.add("thread")
        self._thread.start()

    def mood(self, message: Mapping[str, Any]) -> None:
        """Publish the state, and publish it again on every new connection."""
        self._outbox.last_mood = message
        self._mailbox.put("mood", message)

    def event(self, message: Mapping[str, Any]) -> None:
        """Publish a change, or drop it if there is no connection."""
        self._mailbox.put("event", message)

    def stats(self, message: Mapping[str, Any]) -> None:
        """Publish how the box is doing."""
        self._mailbox.put("stats", message)

    @property
    def retained(self) -> dict[tuple[str, str], str]:
        """Map broker and topic of each retained message to the announcement's text, else to ""."""
        broker = address(self._settings)
        return {(broker, topic): text for topic, text in self._outbox.retained.items()}

    def give_up(self, kept: Mapping[tuple[str, str], str]) -> None:
        """Have `close` clear the retained topics not in `kept`, those of the new outputs."""
        broker = address(self._settings)
        self._outbox.give_up({topic: text for (at, topic), text in kept.items() if at == broker})

    def close(self, timeout: float) -> None:
        """Publish what is waiting, then `offline`, and disconnect.

        Args:
            timeout: Seconds; after that the broker notices by itself and publishes the last will.

        """
        self._deadline = time.monotonic() + 0.9 * timeout  # the rest is for ending the thread
        self._closing = True
        self._mailbox.shut(forget=False)
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._leave("close")

    def health(self) -> dict[str, Any]:
        """Return the state of the output, ready for JSON.

        `connected`; how many messages were `published`, that is, confirmed by the broker or, with
        QoS 0, sent; how many events were `dropped`; how many commands were ignored; `problem`, a
        sentence or None.
        """
        return {
            "connected": self._connected_since is not None,
            "published": self._published,
            "dropped": self._mailbox.dropped,
            "ignored_commands": self._commands.ignored,
            "problem": str(problem) if (problem := self._problem) else None,
        }

    def _wake(self) -> None:
        if self._waker is not None:
            self._waker.wake()

    def _leave(self, user: str) -> None:
        """Close the waker if nobody else needs it: the thread, or `close`, whichever ends last.

        With a late wake, `close` would write to whatever had reused the descriptor.
        """
        with self._leaving:
            self._needs_waker.discard(user)
            if self._waker is not None and not self._needs_waker:
                self._waker.close()

    def _run(self) -> None:
        assert self._waker is not None  # noqa: S101 - for the type checker
        while not self._closing:
            problem = self._hold_one_connection(self._waker)
            if problem is None or self._closing:
                break
            if self._retries.suspicious and problem.fault == "unreachable":
                problem = taken_over(self._settings, self._topics)
            self._report(problem)
            self._rest(self._waker, problem)
        self._mailbox.shut()
        self._leave("thread")

    def _hold_one_connection(self, waker: Waker) -> BrokerError | None:
        """Connect and publish for as long as it holds; return what ended it, None for `close`."""
        session = None
        try:
            session = Session(
                self._settings,
                self._topics,
                modern=self._modern,
                patience=self._patience,
                waker=waker,
                received=self._receive,
            )
            session.establish(lambda: self._closing)
            self._begin()
            self._publish_until_closed(session)
        except BrokerError as problem:
            # Mosquitto 2.0.11 disconnects right after denying a message. If a broker keeps the
            # connection, something else ends it later.
            denied = session is not None and session.just_denied
            return denial(self._settings, self._topics) if denied else problem
        except ImportError:
            return BrokerError(
                "setup", "MQTT needs paho-mqtt: install it with `pip install 'paho-mqtt>=2.2'`"
            )
        # A bug of ours must not end the thread: publishing resumes with the next connection.
        except Exception as error:  # noqa: BLE001
            return BrokerError(
                "mistake",
                f"MQTT: unexpected {type(error).__name__}: {error}: a bug in SerenBox",
            )
        finally:
            self._finish(session)
        return None

    def _finish(self, session: Session | None) -> None:
        self._mailbox.shut()
        if session is not None:
            if self._connected_since is not None:  # some confirmations came at the very end
                self._published = self._published_before + session.confirmations.confirmed
            self._mailbox.count_dropped(session.confirmations.undelivered_events)
            session.end()
        since, self._connected_since = self._connected_since, None
        if since is None:
            self._retries.not_connected()
        elif session is not None and session.silent_since is not None:
            self._retries.fell_silent(session.silent_since - since)
        elif session is None or not session.just_denied:  # else the incident goes on
            self._retries.held_for(time.monotonic() - since)

    def _begin(self) -> None:
        self._published_before = self._published
        self._mailbox.open()
        self._connected_since = time.monotonic()
        self._forget_problem(answered=False)
        self._outbox.announce()
        level = logging.INFO if self._retries.connected_is_news() else logging.DEBUG
        _log.log(level, "connected to %s", address(self._settings))

    def _publish_until_closed(self, session: Session) -> None:
        while not self._closing:
            self._outbox.send(session)
            self._step(session, min(_LONGEST_SLEEP, self._settings.keepalive / 4))
        while not self._outbox.send(session) or not session.settled:
            self._step(session, self._left())
            if not self._left():
                return
        self._outbox.say_goodbye(session)
        while not session.settled and self._left():
            session.step(self._left())
        session.part(self._left())

    def _step(self, session: Session, seconds: float) -> None:
        session.step(seconds)
        self._published = self._published_before + session.confirmations.confirmed
        if session.confirmations.answered:
            self._forget_problem(answered=True)
        if session.denied and self._problem is None:
            self._report(denial(self._settings, self._topics))

    def _forget_problem(self, *, answered: bool) -> None:
        """Forget what is over with a connection, or what only the broker's first answer ends."""
        if self._problem is not None and (self._problem.fault == "unconfirmed") == answered:
            self._problem = None

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        if topic == self._topics.command:
            self._commands.receive(payload, retained=retained)
        elif payload == b"online" and not retained:  # a retained birth predates this connection
            self._outbox.announce()

    def _report(self, problem: BrokerError) -> None:
        """Remember a problem, and log it once per incident."""
        self._problem = problem
        if self._retries.is_news(problem.fault):
            _log.warning("%s", problem)

    def _rest(self, waker: Waker, problem: BrokerError) -> None:
        """Wait before the next attempt, unless it is time to close."""
        # Brokers without MQTT 5 either say so, which is remembered, or just disconnect.
        self._old_broker |= problem.fault == "version"
        self._modern = not self._old_broker and (problem.fault != "protocol" or not self._modern)
        until = time.monotonic() + self._retries.next_pause(problem.fault)
        poll = select.poll()
        poll.register(waker, select.POLLIN)
        while not self._closing and (left := until - time.monotonic()) > 0:
            poll.poll(left * 1000)
            waker.clear()

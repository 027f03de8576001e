"""One connection to an MQTT broker, from the first packet to the last.

A paho-mqtt client is used for one connection and then discarded, so that nothing left in its queue
can be sent again on the next one. It runs in its owner's thread, not in one of its own, so that the
cause of every failure is known and an idle box sleeps.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from serenbox.outputs.mqtt_access import (
    BrokerError,
    address,
    connect_error,
    hung_up,
    oversized,
    refusal,
    taken_over,
    unasked,
    unconfirmed,
)
from serenbox.outputs.mqtt_client import (
    LARGEST,
    LARGEST_OLD,
    connect,
    incoming_size,
    keeps_messages,
    make_client,
    subscriptions,
)
from serenbox.outputs.mqtt_confirmations import Confirmations

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from serenbox.outputs.mqtt_access import Patience
    from serenbox.outputs.topics import Topics
    from serenbox.settings.schema import MqttSettings
    from serenbox.waker import Waker

_MOMENT = 1.0
"""Maximum seconds between a denial and the end of the connection that it causes."""

_KEEPALIVES = 3
"""Minimum keepalives within which some message must be confirmed; after two, a broker that does not
answer at all is noticed."""

WINDOW = 8
"""Maximum messages that the broker has not confirmed yet; others wait in the mailbox. Below what
brokers allow (HiveMQ 10, Mosquitto 20)."""

_UNSPECIFIED = 128
_PROTOCOL_UNKNOWN = 132
_TAKEN_OVER = 142
_REFUSALS = {134, 135, 138, 140}  # user or password, not authorised, banned, method


class Session:
    """A connection that is being made, holds, or has ended.

    To be used by one thread; `establish`, `step` and `publish` raise `BrokerError` on failure.

    Args:
        settings: Where to connect to and as whom.
        topics: What to subscribe to and where the last will goes.
        modern: Speak MQTT 5; otherwise 3.1.1.
        patience: How long to wait.
        waker: Makes `step` return early.
        received: Called with the topic, the payload and whether it was retained.

    """

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        *,
        modern: bool,
        patience: Patience,
        waker: Waker,
        received: Callable[[str, bytes, bool], None],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._modern = modern
        self._bearable = LARGEST if modern else LARGEST_OLD
        self._patience = patience
        self._waker = waker
        self._received = received
        self._window = WINDOW
        self._established = False
        self._failure: BrokerError | None = None
        self.confirmations = Confirmations()
        """What the broker has confirmed, and how long it has not."""
        self.silent_since: float | None = None
        """If the connection was ended because nothing was confirmed any more: since when."""
        self._client = self._make_client()

    @property
    def denied(self) -> bool:
        """Whether the broker has denied a message or a subscription."""
        return self.confirmations.denied_at is not None

    @property
    def just_denied(self) -> bool:
        """Whether it did so a moment ago, so that this explains why the connection ended."""
        at = self.confirmations.denied_at
        return at is not None and time.monotonic() - at < _MOMENT

    @property
    def has_room(self) -> bool:
        """Whether another message may be sent now."""
        return self.confirmations.under_way < self._window and not self._client.want_write()

    @property
    def settled(self) -> bool:
        """Whether the broker has confirmed everything."""
        return not self.confirmations.under_way and not self._client.want_write()

    def establish(self, given_up: Callable[[], bool]) -> None:
        """Connect and wait until the broker accepts, or until `given_up` is true after a wake.

        Once `given_up` is true, nothing is sent.
        """
        import paho.mqtt.client as paho

        client = self._client
        failure = self._connect(given_up)
        if failure is not None:
            raise failure
        deadline = time.monotonic() + self._patience.connect
        while not self._established:
            left = deadline - time.monotonic()
            if left <= 0 or given_up():
                raise BrokerError(
                    "silent",
                    f"{address(self._settings)} accepts connections but does not answer: "
                    "restart it, and check that mqtt.port is an MQTT port",
                )
            self.step(left)
        code, _ = client.subscribe(subscriptions(self._topics, modern=self._modern))
        if code != paho.MQTT_ERR_SUCCESS:
            raise self._lost("it closed the connection")

    def step(self, seconds: float) -> None:
        """Wait for the network, or to be woken, and handle what came."""
        client, connection = self._client, self._client.socket()
        if connection is None:
            raise self._failure or self._lost("the connection broke")
        waiting = getattr(connection, "pending", int)()  # decrypted by TLS, but not read yet
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        poll.register(connection, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        before = time.monotonic()
        ready = dict(poll.poll(0 if waiting else max(0.0, seconds) * 1000))
        if ready.pop(self._waker.fileno(), 0):
            self._waker.clear()
        events = next(iter(ready.values()), 0)
        came = waiting or events & ~select.POLLOUT
        if came:
            client.loop_read()
            self._look_at_incoming()
        if events & select.POLLOUT:
            client.loop_write()
        if self._established:  # before, a short keepalive would end the wait for the answer
            client.loop_misc()
        if self._failure is not None:
            raise self._failure
        if not came:
            # A confirmation may have come since, if this process was stopped meanwhile.
            self._look_at_silence(before)

    def _look_at_silence(self, now: float) -> None:
        """Disconnect from a broker that is there, but has stopped confirming messages."""
        limit = max(self._patience.confirmation, _KEEPALIVES * self._settings.keepalive)
        if self.confirmations.silent_for(now) > limit:
            self.silent_since = self.confirmations.waiting_since
            raise unconfirmed(self._settings, limit)

    def _look_at_incoming(self) -> None:
        """Disconnect before a long packet, or messages that paho-mqtt keeps, fill the memory."""
        size = incoming_size(self._client)
        if size > self._bearable:
            raise oversized(self._settings, self._topics, size)
        if keeps_messages(self._client):
            raise unasked(self._settings)

    def publish(
        self, topic: str, payload: str, *, qos: int, retain: bool, event: bool = False
    ) -> None:
        """Send a message; if `event`, it counts as undelivered until it is confirmed."""
        import paho.mqtt.client as paho

        sent = self._client.publish(topic, payload, qos, retain)
        if qos:
            self.confirmations.sent(sent.mid, event=event)
        if sent.rc != paho.MQTT_ERR_SUCCESS:
            raise self._failure or self._lost(paho.error_string(sent.rc))
        if not qos:
            self.confirmations.sent_unconfirmed()

    def part(self, seconds: float) -> None:
        """Disconnect cleanly, so that the broker does not publish the last will."""
        deadline = time.monotonic() + seconds
        self._client.disconnect()
        try:
            while self._client.socket() is not None and time.monotonic() < deadline:
                self.step(deadline - time.monotonic())
        except BrokerError:
            return

    def end(self) -> None:
        """Close the connection; nothing can be sent any more."""
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _connect(self, given_up: Callable[[], bool]) -> BrokerError | None:
        """Connect; return any error without its original exception, which would hold the socket."""
        try:
            connect(self._client, self._settings, modern=self._modern, given_up=given_up)
        except (OSError, ValueError) as error:
            return connect_error(error, self._settings)
        return None

    def _make_client(self) -> Client:
        timeout = self._patience.connect
        client = make_client(self._settings, self._topics, modern=self._modern, timeout=timeout)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: Client, _data: object, _flags: object, reason: ReasonCode, properties: object
    ) -> None:
        if reason.value == _PROTOCOL_UNKNOWN and self._modern:
            self._failure = BrokerError(
                "version", f"{address(self._settings)} does not know MQTT 5: trying 3.1.1"
            )
        elif reason.value in _REFUSALS:
            has_password = client.password is not None
            self._failure = refusal(str(reason), self._settings, has_password=has_password)
        elif reason.is_failure:
            self._failure = BrokerError(
                "unreachable", f"{address(self._settings)} accepts no connections now ({reason})"
            )
        else:
            self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
            self._established = True

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _: object
    ) -> None:
        if self._failure is not None:
            return
        if flags.is_disconnect_packet_from_server and reason.value == _TAKEN_OVER:
            self._failure = taken_over(self._settings, self._topics)
        elif not self._established:
            self._failure = hung_up(self._settings)
        else:
            vague = reason.value == _UNSPECIFIED
            self._failure = self._lost("the connection broke" if vague else str(reason))

    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _: object
    ) -> None:
        self.confirmations.came(mid, denied=reason.is_failure)

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.confirmations.denied()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        size = len(message.payload)
        if size > self._bearable:  # it came so quickly that nobody could look at it before
            self._failure = oversized(self._settings, self._topics, size)
        elif message.qos > 1:
            self._failure = unasked(self._settings)
        else:
            self._received(message.topic, bytes(message.payload), message.retain)

    def _lost(self, reason: str) -> BrokerError:
        return BrokerError(
            "unreachable",
            f"{address(self._settings)} is gone ({reason}): trying again until it is back",
        )

"""A paho-mqtt client as the settings want it: who it is, how it connects, what it subscribes to."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from serenbox.outputs.mqtt_access import read_password, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client
    from paho.mqtt.properties import Properties
    from paho.mqtt.subscribeoptions import SubscribeOptions

    from serenbox.outputs.topics import Topics
    from serenbox.settings.schema import MqttSettings

LARGEST = 4096
"""Maximum bytes of a packet that the broker may send us (MQTT 5); a command has fewer than 100."""

LARGEST_OLD = 1 << 20
"""Maximum bytes of a packet that is accepted with MQTT 3.1.1, which cannot ask for less."""

_PUBLISH_QOS_2 = 0x34
_KIND_AND_QOS = 0xF6
"""The first byte of a message with QoS 2, and which of its bits say so."""

_RECEIVED_AT_ONCE = 1 << 16
"""Bytes that the kernel holds for us. paho-mqtt empties it up to 100 times before it lets us look
at the size of a packet, and by default a sender on the same machine fills megabytes each time."""


def make_client(settings: MqttSettings, topics: Topics, *, modern: bool, timeout: float) -> Client:
    """Return a client that is not connected yet.

    Args:
        settings: As whom it connects, and whether with TLS.
        topics: Its name, and where its last will goes.
        modern: Speak MQTT 5; otherwise 3.1.1.
        timeout: How long connecting may take, seconds.

    Raises:
        BrokerError: The password or the certificates cannot be read.

    """
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=topics.client,
        clean_session=None if modern else True,
        protocol=MQTTProtocolVersion.MQTTv5 if modern else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = timeout
    client.will_set(topics.availability, "offline", qos=1, retain=True)
    if settings.username:
        client.username_pw_set(settings.username, read_password())
    if settings.tls:
        client.tls_set_context(tls_context(settings))
    return client


def connect(
    client: Client, settings: MqttSettings, *, modern: bool, given_up: Callable[[], bool]
) -> None:
    """Connect and ask to be accepted; the answer is not awaited.

    Args:
        client: What `make_client` returned.
        settings: The broker.
        modern: Speak MQTT 5; otherwise 3.1.1.
        given_up: Asked once the connection is made, which can take long: whether to end it unused.

    Raises:
        OSError: The broker cannot be reached, or `given_up` returned true.
        ValueError: The host or the port is not a valid one.

    """
    more: dict[str, Any] = {"keepalive": settings.keepalive}
    if modern:
        more |= {"clean_start": True, "properties": _connect_properties()}

    def look(*_: object) -> None:
        # A client of the same name may have taken over meanwhile: asking would throw it out.
        if given_up():
            raise ConnectionAbortedError(errno.ECONNABORTED, "given up")

    client.on_socket_open = look
    client.connect(settings.host, settings.port, **more)
    connection = client.socket()
    if isinstance(connection, socket.socket):
        # An event must not wait for the packet before it.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_AT_ONCE)


def subscriptions(
    topics: Topics, *, modern: bool
) -> list[tuple[str, int]] | list[tuple[str, SubscribeOptions]]:
    """Return what to subscribe to, with its QoS or options."""
    subscribed = topics.command, topics.birth
    if not modern:
        return [(topic, 1) for topic in subscribed]
    from paho.mqtt.subscribeoptions import SubscribeOptions

    # Otherwise a command sent as retained would be obeyed now and ignored later.
    command = SubscribeOptions(qos=1, retainAsPublished=True)
    return [(topics.command, command), (topics.birth, SubscribeOptions(qos=1))]


def incoming_size(client: Client) -> int:
    """Return how many bytes the packet has of which a part was read; 0 if there is none."""
    # paho-mqtt has no public way to ask.
    size: int = getattr(client, "_in_packet", {}).get("remaining_length", 0)
    return size


def keeps_messages(client: Client) -> bool:
    """Return whether a message with QoS 2 came, kept until its sender allows to deliver it."""
    begun: int = getattr(client, "_in_packet", {}).get("command", 0)
    kept = getattr(client, "_in_messages", {})
    return begun & _KIND_AND_QOS == _PUBLISH_QOS_2 or bool(kept)


def _connect_properties() -> Properties:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = LARGEST
    return properties

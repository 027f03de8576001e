"""Packets for brokers that tests play themselves, because no real one behaves so badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 0x10, 0x30, 0x40, 0x80, 0xC0

ACCEPTED = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}
"""The answer to CONNECT, by version of the protocol."""
UNKNOWN_VERSION = b"\x20\x02\x00\x01"
PONG = b"\xd0\x00"


def packets(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of each packet, with its first byte as kind, until there is no more.

    It ends, too, when the other side breaks the connection.
    """
    with connection.makefile("rb") as stream:
        try:
            while first := stream.read(1):
                length, shift = 0, 0
                while True:
                    (byte,) = stream.read(1)
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                yield first[0], stream.read(length)
        except (OSError, ValueError):
            return


def packet(first: int, content: bytes) -> bytes:
    """Return a packet with a first byte and what follows its length."""
    length, rest = b"", len(content)
    while True:
        length += bytes([rest & 127 | (128 if rest > 127 else 0)])
        rest >>= 7
        if not rest:
            return bytes([first]) + length + content


def message(topic: str, payload: bytes, *, qos: int, number: int = 1, version: int = 5) -> bytes:
    """Return a PUBLISH packet."""
    name = topic.encode()
    return packet(
        PUBLISH | qos << 1,
        len(name).to_bytes(2, "big")
        + name
        + (number.to_bytes(2, "big") if qos else b"")
        + (b"\x00" if version == 5 else b"")
        + payload,
    )


def accept(server: socket.socket, version: int = 5) -> socket.socket:
    """Return the connection of a client that speaks this version; others are told to."""
    while True:
        connection, _ = server.accept()
        spoken = connection.recv(1000)[8]
        if spoken == version:
            connection.sendall(ACCEPTED[version])
            return connection
        connection.sendall(UNKNOWN_VERSION)
        connection.close()


def number_of(kind: int, content: bytes) -> bytes:
    """Return the number, two bytes, that a PUBLISH with QoS 1 or a SUBSCRIBE is confirmed by."""
    start = 2 + int.from_bytes(content[:2], "big") if kind & 0xF0 == PUBLISH else 0
    return content[start : start + 2]

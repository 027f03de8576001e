"""Tests of the MQTT output with brokers that speak another version, or send nonsense."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.fake_broker import PINGREQ, PONG, PUBLISH, accept, message, number_of, packets
from tests.mosquitto import PATIENCE, wait_for
from tests.mqtt_output import HURRIED, OWN, event, problem, publishing


def test_a_broker_that_knows_no_mqtt_5() -> None:
    """An old broker, which accepts only MQTT 3.1.1."""
    greetings: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            old = False
            while not old:
                connection, _ = server.accept()
                with connection:
                    greetings.append(connection.recv(1000))
                    old = greetings[-1][8] == 4
                    connection.sendall(b"\x20\x02\x00\x00" if old else b"\x20\x02\x00\x01")
                    while old and connection.recv(1000):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], goodbye=0.5):
            pass
        thread.join(PATIENCE)
    assert [greeting[8] for greeting in greetings] == [5, 4]
    clean = 0x02  # otherwise the broker would keep commands for later while the box is away
    assert all(greeting[9] & clean for greeting in greetings)
    assert b"\x27\x00\x00\x10\x00" in greetings[0], "packets of 4096 bytes at most, please"


def test_a_broker_that_hangs_up_once_is_spoken_to_in_mqtt_5_again() -> None:
    versions: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            """Hang up on the first connection, like a broker that is still starting."""
            for _ in range(3):
                connection, _ = server.accept()
                with connection:
                    versions.append(connection.recv(1000)[8])
                    if len(versions) == 2:
                        connection.sendall(b"\x20\x02\x00\x00")
                        connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], connected=False, goodbye=0.5):
            thread.join(PATIENCE)
    assert versions == [5, 4, 5]


def test_the_version_of_a_broker_is_remembered() -> None:
    versions: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            """Speak 3.1.1 alone, and hang up after every subscription."""
            while versions.count(4) < 3:
                connection, _ = server.accept()
                with connection:
                    versions.append(connection.recv(1000)[8])
                    answer = b"\x20\x02\x00\x00" if versions[-1] == 4 else b"\x20\x02\x00\x01"
                    connection.sendall(answer)
                    if versions[-1] == 4:
                        connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], connected=False, goodbye=0.5):
            thread.join(PATIENCE)
    assert versions == [5, 4, 4, 4]


def test_a_message_that_would_fill_the_memory_is_not_taken() -> None:
    longest, begun = 0xFFFFFFF, b"\x30\xff\xff\xff\x7f"  # the most that a length can say
    sent, piece = 0, bytes(1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            nonlocal sent
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                connection.recv(1000)
                connection.sendall(b"\x20\x03\x00\x00\x00" + begun)
                while sent < longest:
                    sent += connection.send(piece[: longest - sent])

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], connected=False, goodbye=0.5) as output:
            told = f"sends a message of {longest:,} bytes"
            wait_for(lambda: told in str(output.health()["problem"]), told)
        thread.join(PATIENCE)
    assert sent < longest // 10


def test_no_more_is_sent_than_the_broker_will_take_at_once() -> None:
    received = b""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            nonlocal received
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                connection.recv(1000)
                connection.sendall(
                    b"\x20\x06\x00\x00\x03\x21\x00\x02"
                )  # two at once, confirms none
                while more := connection.recv(10_000):
                    received += more

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], discovery=False, goodbye=0.5) as output:
            for number in range(5):
                output.event(event(number))
            wait_for(lambda: b'"number":0' in received, "the first event")
        thread.join(PATIENCE)
    assert b"online" in received
    assert b'"number":1' not in received


def test_closing_does_not_wait_for_a_broker_that_says_nothing() -> None:
    patient = replace(HURRIED, connect=600.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with publishing(server.getsockname()[1], patience=patient, connected=False):
            connection, _ = server.accept()
            assert connection.recv(1000)
        connection.close()


def test_a_broker_that_tells_of_a_namesake_is_believed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\x20\x03\x00\x00\x00\xe0\x02\x8e\x00")
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        patient = replace(HURRIED, longest_pause=600.0)
        with publishing(server.getsockname()[1], patience=patient, connected=False) as output:
            assert "give every box its own device.name" in problem(output)
        thread.join(PATIENCE)


def test_a_broker_that_lives_but_confirms_nothing_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    confirms, over = threading.Event(), threading.Event()
    connections = 0

    def serve(server: socket.socket) -> None:
        """Answer every ping, and confirm messages only if asked to."""
        nonlocal connections
        while not over.is_set():
            with accept(server) as connection, suppress(OSError):
                connections += 1
                for kind, content in packets(connection):
                    if kind == PINGREQ:
                        connection.sendall(PONG)
                    elif kind & 0xF6 == PUBLISH | 2 and confirms.is_set():
                        connection.sendall(b"\x40\x02" + number_of(kind, content))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        patience = replace(HURRIED, confirmation=1.0, steady=600.0)
        with publishing(server.getsockname()[1], patience=patience, keepalive=1) as output:
            for number in range(20):
                output.event(event(number))
            assert "confirms no message" in problem(output)
            wait_for(lambda: connections >= 2, "another attempt")
            wait_for(lambda: output.health()["connected"], "another connection")
            assert "confirms no message" in problem(output), "nothing has changed yet"
            assert output.health()["dropped"] == 20
            confirms.set()
            wait_for(lambda: output.health()["problem"] is None, "the problem to be over")
            wait_for(lambda: output.health()["published"] >= 2, "the announcements")
            over.set()
        thread.join(PATIENCE)
    assert sum("confirms no message" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("version", [4, 5])
def test_messages_that_the_box_would_have_to_keep_end_the_connection(version: int) -> None:
    """Of QoS 2, which nobody asked for: they are kept until the broker releases them."""
    kept, sent = 65_535, 0
    payload = bytes(4000)

    def serve(server: socket.socket) -> None:
        nonlocal sent
        with accept(server, version) as connection, suppress(ConnectionError):
            for number in range(1, kept + 1):
                connection.sendall(
                    message(f"{OWN}/command", payload, qos=2, number=number, version=version)
                )
                sent += 1

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        port = server.getsockname()[1]
        with publishing(port, connected=False, goodbye=0.5) as output:
            told = "sends messages with QoS 2"
            wait_for(lambda: told in str(output.health()["problem"]), told)
        thread.join(PATIENCE)
    assert sent < kept // 10


def test_a_message_longer_than_the_box_asked_for_ends_the_connection() -> None:
    def serve(server: socket.socket) -> None:
        with accept(server) as connection, suppress(ConnectionError):
            connection.sendall(message(f"{OWN}/command", bytes(5000), qos=1))
            for _ in packets(connection):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with publishing(server.getsockname()[1], connected=False, goodbye=0.5) as output:
            told = "sends a message of 5,0"
            wait_for(lambda: told in str(output.health()["problem"]), told)
        thread.join(PATIENCE)
    assert output.health()["ignored_commands"] == 0

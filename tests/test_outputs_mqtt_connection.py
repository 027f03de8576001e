"""Tests of the MQTT output with brokers that are missing, restart or fall silent."""

from __future__ import annotations

import json
import logging
import signal
import socket
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.outputs.mqtt import MqttOutput
from serenbox.outputs.mqtt_access import Patience
from serenbox.outputs.queueing import EVENT_LIMIT
from tests.mosquitto import (
    PATIENCE,
    Mosquitto,
    listening,
    make_certificates,
    running_mosquitto,
    wait_for,
)
from tests.mqtt_output import HURRIED, OWN, event, mood, numbers, problem, publishing, settings_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ESTABLISHED, BEING_MADE = "01", "02"
"""States of a TCP connection in `/proc/net/tcp`."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as started:
        yield started


def test_a_restarted_broker_gets_everything_again(broker: Mosquitto) -> None:
    with publishing(broker.port) as output:
        output.mood(mood(7))
        wait_for(lambda: output.health()["published"] == 3, "the confirmations")
        broker.stop()
        wait_for(lambda: not output.health()["connected"], "the loss to be seen")
        output.event(event(1))
        assert output.health()["dropped"] == 1
        assert "cannot be reached" in problem(output) or "is gone" in problem(output)
        broker.start()  # it has forgotten what was retained
        with listening(broker) as listener:
            assert listener.wait(f"{OWN}/availability")[0].text == "online"
            assert json.loads(listener.wait(f"{OWN}/mood")[0].text) == mood(7)
            listener.wait("/config")
            output.event(event(2))
            assert numbers(listener.wait(f"{OWN}/event")) == [2]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_within_a_connection_every_event_arrives_once_and_in_order(
    tmp_path: Path, how: signal.Signals
) -> None:
    """Restarts in the middle of a stream: gaps are allowed there, repetitions nowhere."""
    with running_mosquitto(tmp_path, persistence=True) as broker:
        heard: list[int] = []
        with publishing(broker.port) as output:
            number = 0
            for _ in range(3):
                with listening(broker) as listener:
                    wait_for(lambda: output.health()["connected"], "the connection")
                    first, dropped = number, output.health()["dropped"]
                    for number in range(first, first + 200):
                        output.event(event(number))
                        time.sleep(0.0005)
                    number += 1
                    steady = listener.wait(f"{OWN}/event", 200)
                    assert output.health()["dropped"] == dropped
                    assert numbers(steady) == list(range(first, number))
                    for _ in range(50):  # under way while the broker goes
                        output.event(event(number))
                        number += 1
                    broker.stop(how)
                    heard += numbers(listener.of(f"{OWN}/event"))
                wait_for(lambda: not output.health()["connected"], "the loss to be seen")
                broker.start()
            # Four connections announced themselves with two messages each; every event is either
            # confirmed or counted as dropped.
            wait_for(
                lambda: output.health()["published"] + output.health()["dropped"] == number + 2 * 4,
                "the accounts to be right",
            )
        assert heard == sorted(set(heard))


def test_a_missing_broker_costs_no_time_and_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "serenbox.outputs"),
        publishing(free_port(), connected=False) as output,
    ):
        threads = threading.active_count()
        for number in range(20_000):
            output.mood(mood())
            output.event({"number": number})
            output.stats({})
        assert "refused" in problem(output)
        assert output.health()["dropped"] == 20_000
        assert len(output._mailbox._waiting) == 0
        assert threading.active_count() == threads
        time.sleep(0.5)  # several attempts
    assert len(caplog.records) == 1
    assert "cannot be reached (Connection refused): check mqtt.host" in caplog.text


def test_pauses_between_attempts_grow() -> None:
    patience = Patience(connect=1.0, first_pause=0.05, longest_pause=0.4, steady=5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        attempts: list[float] = []

        def refuse() -> None:
            while len(attempts) < 7:
                connection, _ = server.accept()
                attempts.append(time.monotonic())
                connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        port = server.getsockname()[1]
        with publishing(port, patience=patience, connected=False) as output:
            thread.join(PATIENCE)
            assert "closes the connection without an answer" in problem(output)
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    for pause, least in zip(pauses, [0.05, 0.1, 0.2, 0.4, 0.4, 0.4], strict=True):
        assert pause >= least * 0.95


def test_a_silent_broker_is_noticed_when_connecting(caplog: pytest.LogCaptureFixture) -> None:
    patience = replace(HURRIED, connect=0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        publishing(server.getsockname()[1], patience=patience, connected=False) as output,
    ):
        assert "accepts connections but does not answer" in problem(output)
        assert output.health()["connected"] is False
        time.sleep(1)  # some more attempts
    assert len(caplog.records) == 1


def test_a_silent_broker_is_not_said_to_have_hung_up_because_of_a_short_keepalive() -> None:
    patience = replace(HURRIED, connect=2.0)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        publishing(
            server.getsockname()[1], patience=patience, connected=False, keepalive=1
        ) as output,
    ):
        assert "accepts connections but does not answer" in problem(output)


def test_a_broker_that_goes_silent_is_noticed_and_costs_no_memory(broker: Mosquitto) -> None:
    with publishing(broker.port, keepalive=1) as output:
        broker.freeze()
        try:
            for number in range(10 * EVENT_LIMIT):
                output.event(event(number))
                output.mood(mood(number))
            assert len(output._mailbox._waiting) <= EVENT_LIMIT + 1
            wait_for(lambda: not output.health()["connected"], "the silence to be noticed")
            assert output.health()["dropped"] == 10 * EVENT_LIMIT
        finally:
            broker.thaw()
        wait_for(lambda: output.health()["connected"], "the connection")


def test_closing_does_not_wait_for_a_silent_broker(broker: Mosquitto) -> None:
    output = MqttOutput(settings_for(broker.port), lambda _: None, version="1")
    output.start()
    wait_for(lambda: output.health()["connected"], "the connection")
    broker.freeze()
    output.event(event(1))
    output.close(0.2)
    broker.thaw()
    output._thread.join(PATIENCE)
    assert not output._thread.is_alive()


def test_a_name_that_does_not_exist() -> None:
    with publishing(1883, connected=False, host="no.such.name.invalid") as output:
        assert "no such name" in problem(output)


def test_two_boxes_of_one_name_are_told_apart(broker: Mosquitto) -> None:
    patience = replace(HURRIED, brief=60, steady=60)
    with (
        publishing(broker.port, patience=patience) as first,
        publishing(broker.port, patience=patience) as second,
    ):
        problems = (first.health, second.health)
        wait_for(
            lambda: any("device.name" in str(health()["problem"]) for health in problems),
            "the complaint",
        )


def test_a_broker_that_restarts_a_few_times_and_is_gone_is_called_gone(broker: Mosquitto) -> None:
    with publishing(broker.port, patience=replace(HURRIED, brief=60, steady=60)) as output:
        for _ in range(2):
            broker.restart()
            wait_for(lambda: output.health()["connected"], "the connection")
        broker.stop()
        wait_for(lambda: "refused" in str(output.health()["problem"]), "the truth")


def test_an_output_that_was_given_up_leaves_its_successor_alone(tmp_path: Path) -> None:
    """After a reload while the broker hangs, when it goes on."""
    made = make_certificates(tmp_path)
    with running_mosquitto(tmp_path, tls=made) as broker:
        encrypted = {"host": "localhost", "tls": True, "ca_file": str(made.certificate)}
        old, new = (patient_output(broker.port, **encrypted) for _ in range(2))
        broker.freeze()
        old.start()
        wait_for(lambda: ESTABLISHED in states_of_connections(broker.port), "the handshake")
        old.close(0.1)
        assert old._thread.is_alive()
        new.start()
        broker.thaw()
        old._thread.join(PATIENCE)
        wait_for(lambda: new.health()["connected"], "the connection")
        new.event(event(1))
        wait_for(lambda: new.health()["published"] == 3, "all to be confirmed")
        new.close(5.0)
    assert broker.log.read_text().count(" as serenbox-den") == 1, "only the new one asked"
    assert old._waker is not None
    assert old._waker.fileno() == -1, "nothing is left open"


def test_an_output_that_was_given_up_while_connecting_asks_for_nothing() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # nobody else fits into the queue
            output = patient_output(port)
            output.start()
            wait_for(lambda: BEING_MADE in states_of_connections(port), "the attempt")
            output.close(0.1)
            assert output._thread.is_alive()
            server.accept()[0].close()
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1000) == b""
        output._thread.join(PATIENCE)
    assert output._waker is not None
    assert output._waker.fileno() == -1, "nothing is left open"


def patient_output(port: int, **mqtt: Any) -> MqttOutput:  # noqa: ANN401 - settings
    """Return an output that waits long for a connection."""
    patience = replace(HURRIED, connect=PATIENCE)
    settings = settings_for(port, **mqtt)
    return MqttOutput(settings, lambda _: None, version="1", patience=patience)


def states_of_connections(port: int) -> list[str]:
    """Return how far the connections to a port of this machine are, in the kernel's numbers."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return [state for _, _, remote, state, *_ in fields if remote.endswith(f":{port:04X}")]

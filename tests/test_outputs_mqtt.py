"""Tests of the MQTT output against a real Mosquitto."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.outputs.messages import event_message, mood_message
from serenbox.outputs.mqtt import MqttOutput
from serenbox.outputs.mqtt_access import Patience
from serenbox.outputs.mqtt_session import Session
from serenbox.outputs.queueing import EVENT_LIMIT
from serenbox.settings.schema import DeviceSettings, DiffuserSettings, MqttSettings, Settings
from tests.mosquitto import (
    PATIENCE,
    Mosquitto,
    listening,
    make_certificates,
    required_program,
    running_mosquitto,
    wait_for,
)
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HURRIED = Patience(connect=1.0, first_pause=0.02, longest_pause=0.2, brief=0.0, steady=0.0)
OWN = "serenbox/den"


def settings_for(
    port: int,
    *,
    diffuser: bool = False,
    **mqtt: Any,  # noqa: ANN401 - values of settings
) -> Settings:
    return Settings(
        device=DeviceSettings(name="den"),
        mqtt=replace(MqttSettings(enabled=True, host="127.0.0.1", port=port), **mqtt),
        diffuser=DiffuserSettings(enabled=diffuser),
    )


@contextmanager
def publishing(
    port: int,
    commands: Callable[[str], None] = lambda _: None,
    patience: Patience = HURRIED,
    *,
    connected: bool = True,
    goodbye: float = 5.0,
    **mqtt: Any,  # noqa: ANN401 - settings
) -> Iterator[MqttOutput]:
    output = MqttOutput(settings_for(port, **mqtt), commands, version="1.2.3", patience=patience)
    output.start()
    try:
        if connected:
            wait_for(lambda: output.health()["connected"], "the connection")
        yield output
    finally:
        output.close(goodbye)
        assert not output._thread.is_alive()


def mood(number: int = 0) -> dict[str, Any]:
    return mood_message("den", float(number), "sensing", None, 0.0)


def event(number: int) -> dict[str, Any]:
    return event_message(mood(number), "happy") | {"number": number}


def numbers(messages: list[Any]) -> list[int]:
    return [json.loads(message.payload)["number"] for message in messages]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as started:
        yield started


def test_everything_arrives_under_its_topic(broker: Mosquitto) -> None:
    with listening(broker) as listener, publishing(broker.port) as output:
        output.mood(mood())
        output.event(event(1))
        output.stats({"fps": 9.5})
        assert json.loads(listener.wait(f"{OWN}/mood")[0].text) == mood()
        assert numbers(listener.wait(f"{OWN}/event")) == [1]
        assert json.loads(listener.wait(f"{OWN}/stats")[0].text) == {"fps": 9.5}
        wait_for(lambda: output.health()["published"] == 5, "all five to be confirmed")
        qos = {message.topic: message.qos for message in listener.received}
        assert qos[f"{OWN}/mood"] == qos[f"{OWN}/event"] == qos[f"{OWN}/availability"] == 1
        assert qos[f"{OWN}/stats"] == 0
        assert output.health() == {
            "connected": True,
            "published": 5,
            "dropped": 0,
            "ignored_commands": 0,
            "problem": None,
        }


def test_who_comes_later_finds_what_is_retained(broker: Mosquitto) -> None:
    with publishing(broker.port) as output:
        output.mood(mood(1))
        output.mood(mood(2))
        output.event(event(1))
        output.stats({"fps": 9.5})
        wait_for(lambda: output.health()["published"] >= 5, "the confirmations")
        with listening(broker) as listener:
            listener.wait(f"{OWN}/availability")
            listener.wait("/config")
            assert json.loads(listener.wait(f"{OWN}/mood")[0].text) == mood(2)
            assert all(message.retained for message in listener.received)
            topics = {message.topic for message in listener.received}
            assert topics == {
                f"{OWN}/availability",
                f"{OWN}/mood",
                "homeassistant/device/serenbox_den/config",
            }


def test_the_slot_has_a_topic_of_its_own(broker: Mosquitto) -> None:
    with listening(broker) as listener:
        with publishing(broker.port, diffuser=True) as output:
            output.mood(mood(1) | {"slot": "off"})
            output.mood(mood(2) | {"slot": "A"})
            for number in range(3, 9):
                output.mood(mood(number) | {"slot": "A"})
                listener.wait(f"{OWN}/mood", 1)
            wait_for(lambda: listener.of("/slot")[-1].text == "A", "the slot")
            output.mood(mood(9) | {"slot": "B"})
            listener.wait(f"{OWN}/slot", 3)
        listener.wait(f"{OWN}/availability", 2)
        assert [one.text for one in listener.of(f"{OWN}/slot")] == ["off", "A", "B", "off"]
        order = [one.topic.rpartition("/")[2] for one in listener.received]
        order = [name for name in order if name in {"slot", "availability"}]
        assert order == ["slot", "availability", "slot", "slot", "slot", "availability"]
        assert {one.qos for one in listener.of("/slot")} == {1}
        (discovery, *_) = listener.of("/config")
        assert json.loads(discovery.text)["components"]["slot"]["state_topic"] == f"{OWN}/slot"
    with listening(broker) as late:
        assert [(one.text, one.retained) for one in late.wait("/slot")] == [("off", True)]


def test_a_slot_of_another_time_never_meets_a_box_that_is_online(broker: Mosquitto) -> None:
    with listening(broker) as listener:
        listener.publish(f"{OWN}/slot", "A", retain=True)
        with publishing(broker.port, diffuser=True) as output:
            listener.wait(f"{OWN}/availability")
            assert [one.text for one in listener.of("/slot")] == ["A", "off"]
            output.mood(mood() | {"slot": "B"})
            listener.wait(f"{OWN}/slot", 3)
            broker.restart()
            wait_for(lambda: len(listener.of("/slot")) >= 4, "the slot again")
            assert {one.text for one in listener.of("/slot")[3:]} == {"B"}


def test_a_mood_of_another_time_never_meets_a_box_that_is_online(broker: Mosquitto) -> None:
    with listening(broker) as listener:
        listener.publish(f"{OWN}/mood", "yesterday's", retain=True)
        output = MqttOutput(settings_for(broker.port), print, version="1", patience=HURRIED)
        output.mood(mood(7))
        output.start()
        listener.wait(f"{OWN}/availability")
        told = [one.topic for one in listener.received if one.topic.startswith(OWN)]
        output.close(5)
        assert told[-2:] == [f"{OWN}/mood", f"{OWN}/availability"]
        assert json.loads(listener.of(f"{OWN}/mood")[-1].text) == mood(7)


def test_discovery_can_be_turned_off(broker: Mosquitto) -> None:
    with listening(broker) as listener, publishing(broker.port, discovery=False) as output:
        output.event(event(1))
        listener.wait(f"{OWN}/event")
        assert not listener.of("/config")


def test_closing_publishes_what_waits_and_then_offline(broker: Mosquitto) -> None:
    with listening(broker) as listener:
        with publishing(broker.port) as output:
            for number in range(100):
                output.event(event(number))
        listener.wait(f"{OWN}/availability", 2)
        assert numbers(listener.of(f"{OWN}/event")) == list(range(100))
        assert listener.received[-1].text == "offline"
        assert output.health()["connected"] is False
        output.event(event(1))
        assert output.health()["dropped"] == 1
    with listening(broker) as listener:
        late = listener.wait(f"{OWN}/availability")
        assert [(message.text, message.retained) for message in late] == [("offline", True)]


def test_the_last_will_says_offline(broker: Mosquitto) -> None:
    with listening(broker) as listener, publishing(broker.port) as output:
        wait_for(lambda: listener.of(f"{OWN}/availability"), "online")
        # The connection breaks without a farewell, as when the power fails, and comes back.
        broken = socket.socket(fileno=_only_connection(output))
        broken.shutdown(socket.SHUT_RDWR)
        broken.detach()
        said = [message.text for message in listener.wait(f"{OWN}/availability", 3)]
        assert said == ["online", "offline", "online"]


def _only_connection(output: MqttOutput) -> int:
    """Return the descriptor of the output's connection: only that one sets TCP_NODELAY."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as found:
                ours = found.getpeername() == ("127.0.0.1", output._settings.port)
                if ours and found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY):
                    return int(entry.name)
        except (OSError, TypeError, ValueError):
            continue
    pytest.fail("no connection")


def test_a_restarted_broker_gets_everything_again(broker: Mosquitto) -> None:
    with publishing(broker.port) as output:
        output.mood(mood(7))
        wait_for(lambda: output.health()["published"] == 3, "the confirmations")
        broker.stop()
        wait_for(lambda: not output.health()["connected"], "the loss to be seen")
        output.event(event(1))
        assert output.health()["dropped"] == 1
        assert "cannot be reached" in _problem(output) or "is gone" in _problem(output)
        broker.start()  # it has forgotten what was retained
        with listening(broker) as listener:
            assert listener.wait(f"{OWN}/availability")[0].text == "online"
            assert json.loads(listener.wait(f"{OWN}/mood")[0].text) == mood(7)
            listener.wait("/config")
            output.event(event(2))
            assert numbers(listener.wait(f"{OWN}/event")) == [2]


def _problem(output: MqttOutput) -> str:
    wait_for(lambda: output.health()["problem"], "a problem")
    return str(output.health()["problem"])


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
        assert "refused" in _problem(output)
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
            assert "closes the connection without an answer" in _problem(output)
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    for pause, least in zip(pauses, [0.05, 0.1, 0.2, 0.4, 0.4, 0.4], strict=True):
        assert pause >= least * 0.95


def test_a_silent_broker_is_noticed_when_connecting(caplog: pytest.LogCaptureFixture) -> None:
    patience = replace(HURRIED, connect=0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        publishing(server.getsockname()[1], patience=patience, connected=False) as output,
    ):
        assert "accepts connections but does not answer" in _problem(output)
        assert output.health()["connected"] is False
        time.sleep(1)  # some more attempts
    assert len(caplog.records) == 1


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


def test_refused_credentials_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "wrong-and-secret")
    with running_mosquitto(tmp_path, users={"box": "right"}) as broker:
        with publishing(broker.port, username="box", connected=False) as output:
            assert "refuses user 'box'" in _problem(output)
            wait_for(lambda: broker.log.read_text().count("New connection") >= 4, "more attempts")
            assert output.health()["connected"] is False
            assert len(caplog.records) == 1
            assert "set mqtt.username and the password" in caplog.text
            monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "right")
            wait_for(lambda: output.health()["connected"], "the right password to be tried")
        assert "wrong-and-secret" not in caplog.text + str(output.health()) + repr(vars(output))


def test_the_password_comes_from_the_systemd_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt-password").write_text("spärlich gesät\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "not this one")
    with (
        running_mosquitto(tmp_path, users={"box": "spärlich gesät"}) as broker,
        publishing(broker.port, username="box") as output,
    ):
        assert output.health()["problem"] is None


@pytest.mark.parametrize("steady", [0.0, 60.0])
def test_what_the_access_list_forbids_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, steady: float
) -> None:
    access = [f"topic readwrite {OWN}/availability", f"topic readwrite {OWN}/mood"]
    with (
        running_mosquitto(tmp_path, access=access) as broker,
        publishing(broker.port, patience=replace(HURRIED, brief=steady, steady=steady)) as output,
    ):
        output.event(event(1))
        wait_for(lambda: "does not let SerenBox use all its" in _problem(output), "the complaint")
        wait_for(lambda: broker.log.read_text().count("Denied PUBLISH") >= 2, "another denial")
    assert output.health()["dropped"] == 1
    # Mosquitto 2.0.11 hangs up with every denial, later ones do not.
    assert sum("does not let" in record.getMessage() for record in caplog.records) == 1


def test_a_denial_is_not_blamed_for_what_ends_a_connection_later(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other brokers refuse a message, but keep the connection."""
    monkeypatch.setattr(Session, "denied", property(lambda _: True))
    with publishing(broker.port) as output:
        assert "does not let SerenBox use all its" in _problem(output)
        broker.restart()
        wait_for(lambda: "is gone (" in caplog.text, "the truth")
        wait_for(lambda: output.health()["connected"], "the connection")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # as below
def test_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = make_certificates(tmp_path)
    trusting: dict[str, Any] = {"tls": True, "ca_file": str(made.certificate)}
    with running_mosquitto(tmp_path, tls=made) as broker:
        with publishing(broker.port, host="localhost", **trusting) as output:
            for number in range(50):
                output.event(event(number))
            wait_for(lambda: output.health()["published"] == 52, "the confirmations")
        assert not caplog.records
        with publishing(broker.port, connected=False, **trusting) as output:
            assert "certificate of the broker at 127.0.0.1" in _problem(output)  # another name
        with publishing(broker.port, connected=False, host="localhost", tls=True) as output:
            assert "is not trusted" in _problem(output)
        with publishing(broker.port, connected=False) as output:
            assert "closes the connection without an answer" in _problem(output)
        missing: dict[str, Any] = {"tls": True, "ca_file": str(tmp_path / "none.pem")}
        with publishing(broker.port, connected=False, **missing) as output:
            assert "mqtt.ca_file" in _problem(output)


# paho-mqtt leaves a connection that it could not encrypt to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_tls_to_a_broker_without_it(broker: Mosquitto) -> None:
    with publishing(broker.port, connected=False, tls=True) as output:
        assert "set mqtt.port to its TLS port, often 8883, or mqtt.tls to false" in _problem(output)
        assert output.health()["connected"] is False


def test_a_name_that_does_not_exist() -> None:
    with publishing(1883, connected=False, host="no.such.name.invalid") as output:
        assert "no such name" in _problem(output)


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


def test_a_broker_that_knows_no_mqtt_5() -> None:
    """An old broker, which accepts only MQTT 3.1.1."""
    versions: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while 4 not in versions:
                connection, _ = server.accept()
                with connection:
                    versions.append(connection.recv(1000)[8])
                    answer = b"\x20\x02\x00\x00" if versions[-1] == 4 else b"\x20\x02\x00\x01"
                    connection.sendall(answer)
                    while versions[-1] == 4 and connection.recv(1000):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], goodbye=0.5):
            pass
        thread.join(PATIENCE)
    assert versions == [5, 4]


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
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            nonlocal sent
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                connection.recv(1000)
                connection.sendall(b"\x20\x03\x00\x00\x00" + begun)
                while sent < longest:
                    sent += connection.send(bytes(min(65536, longest - sent)))

        thread = threading.Thread(target=serve)
        thread.start()
        with publishing(server.getsockname()[1], connected=False, goodbye=0.5) as output:
            told = f"sends a message of {longest:,} bytes"
            wait_for(lambda: told in str(output.health()["problem"]), told)
        thread.join(PATIENCE)
    assert sent < longest


def test_commands_reach_the_caller(broker: Mosquitto) -> None:
    heard: list[str] = []
    with listening(broker) as listener, publishing(broker.port, heard.append):
        listener.publish(f"{OWN}/command", "pause")
        listener.publish(f"{OWN}/command", " RESUME\n")
        wait_for(lambda: len(heard) == 2, "the commands")
    assert heard == ["pause", "resume"]


def test_a_retained_command_is_not_obeyed(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    with listening(broker) as listener:
        listener.publish(f"{OWN}/command", "pause", retain=True)
        with publishing(broker.port, heard.append) as output:
            wait_for(lambda: output.health()["ignored_commands"] == 1, "the retained command")
            listener.publish(f"{OWN}/command", "resume")
            wait_for(lambda: heard, "the command")
            listener.publish(f"{OWN}/command", "pause", retain=True)  # also while the box listens
            wait_for(lambda: output.health()["ignored_commands"] == 2, "the other retained one")
    assert heard == ["resume"]
    assert "(retained)" in caplog.text


def test_ten_thousand_random_commands(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """In bursts, some of them larger than any command, with real ones in between."""
    chance = random.Random(7)  # noqa: S311 - payloads
    heard: list[str] = []
    payloads = [_random_payload(chance) for _ in range(9_990)] + [b"pause", b"resume"] * 5
    chance.shuffle(payloads)
    payloads.append(b"PAUSE")
    real = [payload.strip().lower().decode() for payload in payloads if _is_command(payload)]
    large = sum(len(payload) > 4000 for payload in payloads)
    assert large > 50
    with (
        listening(broker, topic="none") as listener,
        publishing(broker.port, heard.append) as output,
    ):
        for payload in payloads[:-1]:
            listener._client.publish(f"{OWN}/command", payload, 1)
        listener.publish(f"{OWN}/command", payloads[-1])
        wait_for(lambda: len(heard) >= len(real), "the commands")
        assert heard == real
        # The broker does not even send packets larger than 4 KiB.
        assert output.health()["ignored_commands"] == len(payloads) - len(real) - large
        assert output.health()["connected"] is True
    assert len(caplog.records) == 1


def _is_command(payload: bytes) -> bool:
    return len(payload) <= 64 and bool(re.fullmatch(rb"(?i)\s*(pause|resume)\s*", payload))


def _random_payload(chance: random.Random) -> bytes:
    kind = chance.randrange(100)
    if kind == 0:
        return b"pause" * 10_000
    if kind < 40:
        return chance.choice([b"pause", b"resume"])[:-1] + chance.randbytes(chance.randrange(1, 9))
    if kind < 50:
        return b"pause" + b" " * chance.randrange(60, 200)
    if kind < 55:
        return json.dumps({"command": "pause", "n": chance.random()}).encode()
    return b"\xff" + chance.randbytes(chance.randrange(200))


def test_birth_of_home_assistant_brings_everything_again(broker: Mosquitto) -> None:
    with listening(broker) as listener, publishing(broker.port) as output:
        output.mood(mood(3))
        listener.wait(f"{OWN}/mood")
        listener.wait("/config")
        before = len(listener.received)
        listener.publish("homeassistant/status", "offline")
        listener.publish("homeassistant/status", "online")
        listener.wait(f"{OWN}/mood", 2)
        listener.wait("/config", 2)  # the announcement comes last
        again = {message.topic for message in listener.received[before:]}
        assert again == {
            "homeassistant/status",
            "homeassistant/device/serenbox_den/config",
            f"{OWN}/availability",
            f"{OWN}/mood",
        }


def test_a_box_that_is_killed_is_offline_and_its_successor_online(
    broker: Mosquitto, tmp_path: Path
) -> None:
    script = tmp_path / "box.py"
    script.write_text(
        "import sys, time\n"
        "from serenbox.outputs.mqtt import MqttOutput\n"
        "from tests.test_outputs_mqtt import settings_for\n"
        f"output = MqttOutput(settings_for({broker.port}), print, version='1')\n"
        "output.start()\n"
        "time.sleep(60)\n"
    )
    with listening(broker) as listener:
        box = subprocess.Popen(
            [sys.executable, str(script)], env={"PYTHONPATH": str(Path(__file__).parent.parent)}
        )
        try:
            assert listener.wait(f"{OWN}/availability")[0].text == "online"
        finally:
            box.kill()
            box.wait()
        assert listener.wait(f"{OWN}/availability", 2)[1].text == "offline"
        with publishing(broker.port):
            assert listener.wait(f"{OWN}/availability", 3)[2].text == "online"


def test_a_captured_session_shows_what_the_documentation_says(broker: Mosquitto) -> None:
    """`mosquitto_sub`, as the documentation uses it, prints a mood as one line."""
    tool = required_program("mosquitto_sub")
    with publishing(broker.port) as output:
        output.mood(mood(5))
        wait_for(lambda: output.health()["published"] == 3, "the confirmations")
        line = subprocess.run(
            [tool, "-p", str(broker.port), "-t", f"{OWN}/mood", "-C", "1", "-v"],
            capture_output=True,
            check=True,
            timeout=PATIENCE,
            text=True,
        ).stdout
    topic, text = line.split(" ", 1)
    assert topic == f"{OWN}/mood"
    assert json.loads(text) == mood(5)

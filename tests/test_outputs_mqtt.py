"""Tests of what the MQTT output publishes, against a real Mosquitto."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serenbox.outputs.mqtt import MqttOutput
from tests.mosquitto import (
    PATIENCE,
    Mosquitto,
    listening,
    required_program,
    running_mosquitto,
    wait_for,
)
from tests.mqtt_output import HURRIED, OWN, event, mood, numbers, publishing, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        "from tests.mqtt_output import settings_for\n"
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
        will = listener.wait(f"{OWN}/availability", 2)[1]
        assert (will.text, will.qos) == ("offline", 1)
        with listening(broker) as later:
            late = later.wait(f"{OWN}/availability")
            assert [(message.text, message.retained) for message in late] == [("offline", True)]
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

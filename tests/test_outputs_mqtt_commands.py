"""Tests of the commands that come over MQTT, through a real Mosquitto."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

import pytest

from tests.mosquitto import Mosquitto, listening, running_mosquitto, wait_for
from tests.mqtt_output import OWN, publishing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as started:
        yield started


def test_commands_reach_the_caller(broker: Mosquitto) -> None:
    heard: list[str] = []
    with listening(broker) as listener, publishing(broker.port, heard.append):
        listener.publish(f"{OWN}/command", "pause")
        listener.publish(f"{OWN}/command", " RESUME\n")
        wait_for(lambda: len(heard) == 2, "the commands")
    assert heard == ["pause", "resume"]


def test_a_command_may_be_sent_with_any_quality_of_service(broker: Mosquitto) -> None:
    heard: list[str] = []
    with listening(broker) as listener, publishing(broker.port, heard.append) as output:
        for qos in (2, 0, 1):
            listener.publish(f"{OWN}/command", bytes(5000), qos=qos)  # Mosquitto drops it for us
            listener.publish(f"{OWN}/command", "pause", qos=qos)
        wait_for(lambda: len(heard) == 3, "the commands")
        assert output.health()["problem"] is None
    assert broker.log.read_text().count(" as serenbox") == 1, "one connection"


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

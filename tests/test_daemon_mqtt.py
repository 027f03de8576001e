"""The service with a real Mosquitto: moods, commands, reloads and lost connections."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.daemon_process import QUICK, Daemon, write_lively_face, write_script
from tests.mosquitto import Listener, Mosquitto, listening, running_mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with running_mosquitto(folder) as running:
        yield running


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    return write_lively_face(tmp_path, portrait_file)


@contextmanager
def publishing(folder: Path, camera: str, broker: Mosquitto) -> Iterator[Daemon]:
    mqtt = f"\n[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"
    quick = QUICK + mqtt + "[service]\nstats_interval = 1\n"
    with Daemon(folder, camera, configuration=quick) as daemon:
        yield daemon


def wait_mood(daemon: Daemon, listener: Listener, label: str) -> None:
    def latest() -> bool:
        received = listener.of("/mood")
        return bool(received) and json.loads(received[-1].payload)["mood"] == label

    daemon.wait_until(latest, f"the mood {label} at the broker")


def wait_availability(daemon: Daemon, listener: Listener, *states: str) -> None:
    daemon.wait_until(
        lambda: [one.text for one in listener.of("/availability")][-len(states) :] == [*states],
        f"the availability to become {states}",
    )


def test_moods_commands_and_the_end(tmp_path: Path, camera: str, broker: Mosquitto) -> None:
    with listening(broker) as listener, publishing(tmp_path, camera, broker) as daemon:
        wait_mood(daemon, listener, "happy")
        wait_availability(daemon, listener, "online")
        listener.publish("serenbox/serenbox/command", "pause")
        wait_mood(daemon, listener, "paused")
        listener.publish("serenbox/serenbox/command", "resume")
        wait_mood(daemon, listener, "happy")
        (stats, *_) = listener.wait("/stats")
        assert json.loads(stats.payload)["outputs"]["mqtt"]["connected"]
        assert daemon.end() == 0
        wait_offline(listener)
        events = [json.loads(one.payload)["mood"] for one in listener.of("/event")]
    # `no_camera` is announced only if the camera takes long enough to open, and the first mood may
    # come before the broker is reached.
    assert [mood for mood in events if mood != "no_camera"][-2:] == ["paused", "happy"]
    assert daemon.warnings() == []


def test_what_was_retained_before_does_not_pass_for_current(
    tmp_path: Path, broker: Mosquitto
) -> None:
    slow = write_script(tmp_path / "script.json", [{"stall": 60}])
    patient = QUICK.replace("timeout = 0.3", "timeout = 60")
    mqtt = f"\n[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"
    with listening(broker) as listener:
        listener.publish("serenbox/serenbox/mood", '{"mood": "happy"}', retain=True)
        with Daemon(tmp_path, slow, configuration=patient + mqtt) as daemon:
            wait_availability(daemon, listener, "online")
            received = [
                one.text
                for one in listener.received
                if one.topic.endswith(("/mood", "/availability"))
            ]
            before = received[: received.index("online")]
            assert json.loads(before[-1])["mood"] == "no_camera"
            assert daemon.end() == 0


def test_a_reload_changes_how_often_statistics_come(
    tmp_path: Path, camera: str, broker: Mosquitto
) -> None:
    def announced(seconds: int) -> bool:
        return any(f'"expire_after":{seconds}' in one.text for one in listener.of("/config"))

    with listening(broker) as listener, publishing(tmp_path, camera, broker) as daemon:
        wait_availability(daemon, listener, "online")
        settings = daemon.configuration.read_text()
        for interval in (3600, 2):
            daemon.configuration.write_text(
                settings.replace("interval = 1", f"interval = {interval}")
            )
            daemon.send(signal.SIGHUP)
            daemon.wait_until(partial(announced, 3 * interval), "another announcement")
            time.sleep(1.5)  # what was due before has come; the next are an hour apart, then 2 s
        count = len(listener.of("/stats"))
        daemon.wait_until(lambda: len(listener.of("/stats")) > count + 1, "new statistics")
        assert daemon.end() == 0


def test_after_a_reload_nothing_of_before_stays_at_the_broker(
    tmp_path: Path, camera: str, broker: Mosquitto
) -> None:
    def left() -> set[str]:
        latest = {one.topic: one.payload for one in list(listener.received)}
        passing = ("/event", "/stats")
        return {topic for topic in latest if latest[topic] and not topic.endswith(passing)}

    def of(name: str, *, announced: bool = True) -> set[str]:
        found = {f"serenbox/{name}/availability", f"serenbox/{name}/mood"}
        return found | ({f"homeassistant/device/{name}/config"} if announced else set())

    with listening(broker) as listener, publishing(tmp_path, camera, broker) as daemon:
        daemon.wait_until(lambda: left() == of("serenbox"), "what is retained")
        settings = f"{daemon.configuration.read_text()}\n[device]\nname = 'serenbox2'\n"

        def leaves(text: str, wanted: set[str]) -> None:
            daemon.configuration.write_text(text)
            daemon.send(signal.SIGHUP)
            daemon.wait_until(lambda: left() == wanted, "what is retained")

        leaves(settings, of("serenbox2"))
        leaves(
            settings.replace("[mqtt]", "[mqtt]\ndiscovery = false"),
            of("serenbox2", announced=False),
        )
        leaves(settings.replace("[mqtt]\nenabled = true", "[mqtt]\nenabled = false"), set())
        assert daemon.end() == 0


def test_home_assistant_hears_of_new_topics_before_the_old_ones_are_emptied(
    tmp_path: Path, camera: str, broker: Mosquitto
) -> None:
    """Otherwise it would take the empty messages for moods, and log an error for each."""
    with listening(broker) as listener, publishing(tmp_path, camera, broker) as daemon:
        wait_mood(daemon, listener, "happy")
        settings = daemon.configuration.read_text().replace("[mqtt]", "[mqtt]\nprefix = 'house'")
        daemon.configuration.write_text(settings)
        daemon.send(signal.SIGHUP)
        daemon.wait_until(
            lambda: any(one.topic == "house/serenbox/availability" for one in listener.received),
            "the box under its new name",
        )
        assert daemon.end() == 0
        heard = list(listener.received)
    announced = next(place for place, one in enumerate(heard) if b"house/" in one.payload)
    emptied = [place for place, one in enumerate(heard) if not one.payload]
    assert len(emptied) == 2
    assert heard[announced].topic == "homeassistant/device/serenbox/config"
    assert announced < min(emptied)


def test_killed(tmp_path: Path, camera: str, broker: Mosquitto) -> None:
    with listening(broker) as listener:
        with publishing(tmp_path, camera, broker) as daemon:
            wait_mood(daemon, listener, "happy")
            daemon.end(signal.SIGKILL)
            wait_offline(listener)
        with publishing(tmp_path, camera, broker) as daemon:
            wait_availability(daemon, listener, "offline", "online")
            assert daemon.end() == 0
            wait_offline(listener)


def test_a_broker_that_is_missing_and_comes(tmp_path: Path, camera: str, broker: Mosquitto) -> None:
    broker.stop()
    with publishing(tmp_path, camera, broker) as daemon:
        daemon.wait_mood("happy")  # it senses without a broker, too
        daemon.wait_state("READY=1")
        daemon.wait_logged("cannot be reached")
        broker.start()
        with listening(broker) as listener:
            wait_mood(daemon, listener, "happy")
            assert daemon.end() == 0
    assert len(daemon.warnings()) == 1


def test_a_broker_that_is_restarted(tmp_path: Path, camera: str, broker: Mosquitto) -> None:
    with publishing(tmp_path, camera, broker) as daemon:
        with listening(broker) as listener:
            wait_mood(daemon, listener, "happy")
        before = len(daemon.messages)
        broker.restart()
        with listening(broker) as listener:
            wait_mood(daemon, listener, "happy")
            wait_availability(daemon, listener, "online")
        daemon.wait_until(lambda: len(daemon.messages) > before + 1, "further messages")
        assert daemon.end() == 0
    assert daemon.events == [("no_camera", "happy")]
    assert len(daemon.warnings()) == 1


def test_no_broker_at_the_end(tmp_path: Path, camera: str, broker: Mosquitto) -> None:
    with publishing(tmp_path, camera, broker) as daemon:
        with listening(broker) as listener:
            wait_mood(daemon, listener, "happy")
        broker.freeze()  # it is there, but never answers
        assert daemon.end() == 0
        broker.thaw()


def wait_offline(listener: Listener) -> None:
    from tests.mosquitto import wait_for

    wait_for(lambda: listener.of("/availability")[-1].text == "offline", "offline")

"""The real service with its page."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.daemon_process import QUICK, Daemon, wait_for, write_script
from tests.mosquitto import listening, running_mosquitto
from tests.ports import free_port
from tests.web_client import Spectator, Viewer, answers, ask, ask_json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    return write_script(
        tmp_path / "script.json", [{"frames": "face.png", "count": 1_000_000}], fps=10
    )


def page(port: int) -> str:
    return f"{QUICK}\n[web]\nenabled = true\nport = {port}\n"


def test_a_box_that_starts_paused_says_so_at_once(tmp_path: Path, camera: str) -> None:
    port = free_port()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "paused").touch()
    with Daemon(tmp_path, camera, configuration=page(port)) as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        wait_for(lambda: ask_json(port, "/api/mood")["mood"] == "paused", "the mood")
        assert ask(port, "/healthz")[0] == 200
        daemon.wait_until(lambda: daemon.events == [("no_camera", "paused")], "the event")
        assert daemon.end() == 0


def _seconds(port: int, mood: str) -> float:
    steps = ask_json(port, "/api/history")["steps"]
    return float(sum(step["seconds"].get(mood, 0) for step in steps))


def test_mood_pause_health_and_the_end(tmp_path: Path, camera: str) -> None:
    port = free_port()
    with Daemon(tmp_path, camera, configuration=page(port)) as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        with Viewer(port) as viewer:
            assert viewer.status() == 200
            happy = viewer.wait("mood", mood="happy")
            assert happy["scores"]["happy"] == max(happy["scores"].values())
            health = viewer.wait("health", state="sensing", camera=f"script {tmp_path}/script.json")
            assert health["latency_ms"]["total"]["p50"] > 0
            assert ask(port, "/healthz")[0] == 200
            assert ask(port, "/api/pause", "POST")[0] == 202
            viewer.wait("mood", mood="paused")
            # The new health may arrive a moment after the mood.
            wait_for(lambda: ask_json(port, "/api/health")["camera"] == "", "no camera in use")
            assert ask(port, "/api/resume", "POST")[0] == 202
            viewer.wait("mood", mood="happy")
            wait_for(lambda: _seconds(port, "happy") > 0, "a tenth of a second")
            status, metrics = ask(port, "/metrics")
            assert status == 200
            assert 'serenbox_mood{mood="happy"} 1.0' in metrics
            assert daemon.end() == 0
        assert not answers(port)
    assert daemon.warnings() == []


def test_a_lost_camera_and_a_lost_broker_say_why(tmp_path: Path, portrait_file: Path) -> None:
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    (tmp_path / "broker").mkdir()
    steps = [
        {"frames": "face.png", "count": 30},
        *[{"open_error": "somebody pulled the plug"}] * 15,
        {"frames": "face.png", "count": 1_000_000},
    ]
    camera = write_script(tmp_path / "script.json", [*steps[:1], {"error": "gone"}, *steps[1:]])
    port = free_port()
    with running_mosquitto(tmp_path / "broker") as broker:
        quick = page(port).replace("reopens = 3", "reopens = 1000")
        mqtt = f"[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"
        with Daemon(tmp_path, camera, configuration=quick + mqtt) as daemon:
            daemon.wait_until(lambda: answers(port), "the page")
            with Viewer(port) as viewer:
                assert viewer.status() == 200
                lost = next(
                    message
                    for name, message in viewer.events()
                    if name == "health" and "plug" in (message["problem"] or "")
                )
                assert lost["state"] == "no_camera"
                viewer.wait("mood", state="sensing")
                broker.stop()
                gone = next(
                    message
                    for name, message in viewer.events()
                    if name == "health" and not message["outputs"]["mqtt"]["connected"]
                )
                assert str(broker.port) in gone["outputs"]["mqtt"]["problem"]
                assert gone["problem"] is None
            assert daemon.end() == 0


def test_everybody_is_told_at_once_that_the_preview_is_on(tmp_path: Path, camera: str) -> None:
    port = free_port()
    (tmp_path / "broker").mkdir()
    with running_mosquitto(tmp_path / "broker") as broker, listening(broker) as listener:
        rare = "[service]\nstats_interval = 3600\n"
        mqtt = f"[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"
        configuration = page(port) + rare + mqtt
        with Daemon(tmp_path, camera, configuration=configuration) as daemon:

            def told() -> list[int]:
                stats = [json.loads(message.payload) for message in listener.of("/stats")]
                return [message["outputs"]["web"]["previews"] for message in stats]

            daemon.wait_until(lambda: answers(port), "the page")
            daemon.wait_until(lambda: listener.of("/mood"), "the broker")
            daemon.wait_mood("happy")
            with Spectator(port) as spectator:
                assert spectator.status() == 200
                spectator.picture()
                daemon.wait_until(lambda: told() == [1], "it to be told")
            daemon.wait_until(lambda: told() == [1, 0], "its end to be told")
            with Spectator(port) as spectator:
                assert spectator.status() == 200
                spectator.picture()
                daemon.wait_until(lambda: told() == [1, 0, 1], "it to be told")
                status = daemon.command("status").stdout
                assert "web       connected, the live preview of the camera is on" in status
                daemon.configuration.write_text(
                    configuration.replace("[web]", "[web]\npreview = false")
                )
                daemon.send(signal.SIGHUP)
                with contextlib.suppress(ConnectionError, http.client.HTTPException):
                    spectator.drain()
            daemon.wait_until(lambda: answers(port), "the page again")
            with Spectator(port) as spectator:
                assert spectator.status() == 403
            assert daemon.end() == 0
        assert daemon.warnings() == []


def test_a_reload_opens_and_closes_the_page(tmp_path: Path, camera: str) -> None:
    first, second = free_port(), free_port()
    with Daemon(tmp_path, camera, configuration=page(first)) as daemon:
        daemon.wait_until(lambda: answers(first), "the page")
        daemon.wait_state("READY=1")
        daemon.configuration.write_text(page(second))
        daemon.send(signal.SIGHUP)
        daemon.wait_until(lambda: answers(second), "the page elsewhere")
        wait_for(lambda: not answers(first), "the page to have moved")
        daemon.configuration.write_text(QUICK)
        daemon.send(signal.SIGHUP)
        wait_for(lambda: not answers(second), "the page to be closed")
        assert daemon.end() == 0
    assert daemon.warnings() == []


def test_beyond_this_machine_it_does_not_start_without_a_token(tmp_path: Path, camera: str) -> None:
    everywhere = f"{page(free_port())}host = '0.0.0.0'\n"
    unset = {"SERENBOX_WEB_TOKEN": "", "CREDENTIALS_DIRECTORY": ""}
    with Daemon(tmp_path, camera, configuration=everywhere, environment=unset) as daemon:
        assert daemon.wait() == 2
    assert "there is no token" in daemon.log[-1]

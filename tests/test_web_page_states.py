"""What the page tells in a real browser: every state, and how long moods last."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serenbox.model_file import append_metadata, load_model_file
from serenbox.outputs.messages import mood_message
from serenbox.settings.schema import Settings, WebSettings
from serenbox.web.output import WebOutput
from tests.browser import A_MINUTE_LATER, DESKTOP, PHONE, shape
from tests.daemon_process import Daemon, wait_for, with_page, write_script
from tests.mosquitto import running_mosquitto
from tests.ports import free_port
from tests.web_box import HAPPY, STATS
from tests.web_client import Viewer, answers

if TYPE_CHECKING:
    from tests.browser import Page


def test_every_state_is_told(tmp_path: Path, camera: str, page: Page) -> None:
    port = free_port()
    (tmp_path / "broker").mkdir()
    never_sure(tmp_path / "unsure.tflite")
    nobody = write_script(tmp_path / "nobody.json", [{"black": 1_000_000}])
    reason = "somebody pulled the plug"
    lost = write_script(tmp_path / "lost.json", [{"open_error": reason, "count": 1_000_000}])
    quick = (
        with_page(port)
        .replace("reopens = 3", "reopens = 1000")
        .replace("[mood]", "[mood]\nuncertain_after = 0.2")
    )
    with running_mosquitto(tmp_path / "broker") as broker:
        quick += f"[device]\nname = '{'long_name_' * 6}'\n"
        quick += f"[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"

        def settings(source: str, model: str = "") -> str:
            return (
                quick.replace("[camera]", f"[camera]\nsource = {json.dumps(source)}")
                + f"[sensing]\nmodel = '{model}'\n"
            )

        def change(source: str, model: str = "") -> None:
            daemon.configuration.write_text(settings(source, model))
            daemon.send(signal.SIGHUP)

        first = settings(camera, str(tmp_path / "unsure.tflite"))
        with Daemon(tmp_path, camera, configuration=first, name_camera=False) as daemon:
            daemon.wait_logged("the web page is at")
            page.open(f"http://127.0.0.1:{port}/")
            page.wait("mood", "Uncertain")
            page.wait("detail", "no expression is clear")
            page.wait("health", "MQTT brokerconnected")
            assert page.text("notices") == ""
            page.check()

            change(nobody)
            page.wait("mood", "Nobody in view")
            assert page.text("score-happy").endswith("y0 %")

            change(lost)
            page.wait("mood", "No camera")
            page.wait("notices", reason)
            broker.stop()
            page.wait("notices", "The MQTT broker is not connected")
            page.wait("notices", reason)
            page.wait("health", "MQTT brokernot connected")
            page.check_everywhere()

            broker.start()
            change(camera)
            page.wait("mood", "Happy")
            page.wait("health", "MQTT brokerconnected")
            wait_for(lambda: page.text("notices") == "", "no complaint on the page")
            assert daemon.end() == 0


def never_sure(path: Path) -> None:
    """Write the shipped model with thresholds that no score reaches."""
    import serenbox.models

    shipped, metadata = load_model_file(Path(serenbox.models.__file__).parent / "emotion.tflite")
    thresholds = dict.fromkeys(metadata.scores.thresholds, 1.0)
    unsure = metadata._replace(scores=metadata.scores._replace(thresholds=thresholds))
    path.write_bytes(append_metadata(shipped, unsure))


@pytest.mark.parametrize("visitors", [0, 1])
def test_how_long_the_mood_has_lasted(visitors: int, page: Page) -> None:
    """Even if its message was sent a while ago, be it an event or an answer."""
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port, streams=1)), print)
    with contextlib.ExitStack() as stack:
        stack.callback(output.close, 5)
        output.start()
        output.mood(mood_message("box", time.time() - 50, "paused", None, 3590))
        wait_for(lambda: answers(port), "the page")
        for _ in range(visitors):
            assert stack.enter_context(Viewer(port)).status() == 200
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("health", "Running for")
        page.wait("detail", "for 1 h 0 min")
        if visitors:
            return
        # The box's clock has been set since, which changes nothing.
        output.mood(mood_message("box", time.time() - 7200, "paused", None, 3000))
        page.wait("detail", "for 50 min")
        output.stats({"camera": "of this test", "uptime": 42.0})
        page.wait("health", "42 s")
        assert page.text("detail").endswith("for 50 min")


def test_durations_in_words(page: Page) -> None:
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), print)
    with contextlib.ExitStack() as stack:
        stack.callback(output.close, 5)
        output.start()
        output.mood(mood_message("box", time.time(), "paused", None, 60))
        wait_for(lambda: answers(port), "the page")
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("mood", "Paused")
        seconds = {"happy": 59.7, "sad": 59.4, "fear": 119.8, "no_face": 3599.6, "uncertain": 0.3}
        steps = [
            {"time": f"2026-11-30T{hour}:00:00.000Z", "seconds": each}
            for hour, each in ((12, seconds), (13, {}))
        ]
        history = {"period": "hour", "step_minutes": 60, "kept_days": 1, "steps": steps}
        page.script(
            "const ask = window.fetch; window.fetch = async (path, ...rest) =>"
            "  path.startsWith('/api/history') ? new Response(arguments[0]) : ask(path, ...rest)",
            json.dumps(history),
        )
        output.mood(mood_message("box", time.time(), "paused", None, 30))  # asks for the history
        page.wait("kept", "is kept on the box for 1 day.")
        told = "Fear 2 min, Happy 1 min, Sad 59 s, Uncertain 0 s, Nobody in view 1 h 0 min"
        page.wait("hour-rows", told)


def test_what_was_heard_before_a_page_was_hidden_does_not_pass_for_current(page: Page) -> None:
    """As when a phone wakes up in another network, where it takes a while to notice."""
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), print)
    with contextlib.ExitStack() as stack:
        stack.callback(output.close, 5)
        output.start()
        output.mood(mood_message("box", time.time(), "paused", None, 30))
        wait_for(lambda: answers(port), "the page")
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("detail", "the camera is closed")
        shown = page.browser.current_window_handle
        page.browser.switch_to.new_window("tab")
        wait_for(lambda: output.health()["streams"] == 0, "the page to hang up")
        page.browser.close()
        page.browser.switch_to.window(shown)
        page.wait_told("detail", "closed", "the last that is known", "closed")


def test_a_box_that_does_not_pause_is_told_of(page: Page) -> None:
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), lambda _: None)
    with contextlib.ExitStack() as stack:
        stack.callback(output.close, 5)
        output.start()
        output.mood(HAPPY)
        wait_for(lambda: answers(port), "the page")
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("mood", "Happy")
        page.browser.find_element("id", "pause").click()
        page.wait("pause", "Closing the camera")
        assert page.text("notices") == ""
        page.script(A_MINUTE_LATER)
        page.wait("notices", "The camera is still not closed. To be sure, stop the service.")
        page.wait("link", "Live")
        assert page.text("pause") == "Pause"
        output.mood(mood_message("box", time.time(), "paused", None, 0))
        page.wait("mood", "Paused")
        assert page.text("notices") == "Paused: the camera is closed."


def test_a_small_window(page: Page) -> None:
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), print)
    with contextlib.ExitStack() as stack:
        stack.callback(output.close, 5)
        output.start()
        output.mood({**HAPPY, "mood": "surprise"})
        output.stats(STATS)
        wait_for(lambda: answers(port), "the page")
        shape(page.browser, width=320, height=480, phone=True)
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("health", "Version")
        page.wait("day-rows", "Surprise")
        page.script("for (const each of document.querySelectorAll('details')) each.open = true")
        for width in (320, 240):
            shape(page.browser, width=width, height=480, phone=True)
            assert page.script("return document.documentElement.scrollWidth") == width
            narrowest = (
                "return Math.min(...[...document.querySelectorAll('dd')].map((e) => e.clientWidth))"
            )
            assert page.script(narrowest) > 64


def test_a_full_score_takes_one_line(page: Page) -> None:
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), print)
    with contextlib.ExitStack() as stack:
        stack.callback(output.close, 5)
        output.start()
        output.mood({**HAPPY, "scores": {**HAPPY["scores"], "happy": 1.0}})
        wait_for(lambda: answers(port), "the page")
        for form in (PHONE, DESKTOP):
            shape(page.browser, **form)  # type: ignore[arg-type]
            page.open(f"http://127.0.0.1:{port}/")
            page.wait("score-happy", "100 %")
            height = "return document.getElementById(`score-${arguments[0]}`).offsetHeight"
            assert page.script(height, "happy") == page.script(height, "sad")

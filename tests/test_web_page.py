"""The page in a real browser, over the real service."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serenbox.model_file import append_metadata, load_model_file
from serenbox.outputs.messages import mood_message
from serenbox.settings.schema import Settings, WebSettings
from serenbox.web.output import WebOutput
from tests.daemon_process import QUICK, Daemon, wait_for, write_script
from tests.demo_clip import a_camera_works, make_clip
from tests.missing import missing
from tests.mosquitto import running_mosquitto
from tests.ports import free_port
from tests.web_client import Viewer, answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser import Page

SOON = 5.0
"""Seconds from opening the page to the mood, while the demonstration shows a face."""

A_MINUTE_LATER = (
    "const now = performance.now.bind(performance); performance.now = () => now() + 60000"
)


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    return write_script(
        tmp_path / "script.json", [{"frames": "face.png", "count": 1_000_000}], fps=5
    )


def with_page(port: int) -> str:
    return f"{QUICK}\n[web]\nenabled = true\nport = {port}\n"


def test_a_visit_during_the_demonstration(tmp_path: Path, page: Page) -> None:
    """As `make demo` runs it: a portrait comes into view, and leaves, again and again."""
    from selenium.webdriver.common.keys import Keys

    film, port = tmp_path / "portrait.mkv", free_port()
    make_clip(film)
    settings = ("camera.loop=true", "web.enabled=true", f"web.port={port}")
    arguments = [word for each in settings for word in ("--set", each)]
    address = f"http://127.0.0.1:{port}/"
    with Daemon(tmp_path, str(film), configuration="", arguments=arguments) as daemon:
        daemon.wait_logged("the web page is at")
        page.open(address)
        happy = page.wait_told("mood", "Happy")
        if happy > SOON:  # the machine was busy with something else, or the portrait had just left
            page.open(address)
            happy = page.wait_told("mood", "Happy")
        assert happy <= SOON
        page.wait_told("mood", "Nobody in view", "Happy")
        page.wait("health", str(film))
        page.wait("link", "Live")
        assert page.text("score-happy").endswith("%")
        page.wait("hour-list", "Happy")
        page.browser.find_element("css selector", "summary").click()
        assert re.search(r"\d\d:\d\d.*Happy \d+ s", page.text("hour-rows"))
        assert re.fullmatch(r"\d\d:\d\d.*\d\d:\d\d.*now", page.text("hour-axis"), re.DOTALL)
        page.check_everywhere()

        # By keyboard alone: the button is the second thing on the page to be reached.
        assert is_open(film)
        page.tab_to("pause")
        page.press(Keys.ENTER, "pause")
        page.wait("mood", "Paused")
        page.wait("notices", "the camera is closed")
        page.wait("health", "Cameranone")
        page.wait("pause", "Resume")
        assert not is_open(film)
        page.check()
        page.press(Keys.ENTER, "pause")
        page.wait("mood", "Happy")
        wait_for(lambda: page.text("notices") == "", "no notice on the page")
        assert page.complaints(address) == ([], set())
        daemon.send(signal.SIGSTOP)  # a box that hangs, which closes no connection
        page.script(A_MINUTE_LATER)
        page.wait("link", "Not connected")
        daemon.send(signal.SIGCONT)
        page.wait("link", "Live")
        page.script("window.fetch = () => Promise.reject(new Error())")
        page.tab_to("pause")
        page.press(Keys.ENTER, "pause")
        page.wait("notices", "The camera was not closed: the box does not answer. Try again.")
        page.wait("pause", "Pause")
        assert daemon.end() == 0

    page.wait("link", "Not connected")
    page.wait("notices", "does not answer")
    page.wait("detail", "the last that is known")
    assert page.unusable("pause")
    page.check()
    with Daemon(tmp_path, str(film), arguments=arguments) as daemon:
        page.wait("link", "Live")
        page.wait("mood", "Happy")
        wait_for(lambda: page.text("notices") == "", "no complaint on the page")
        assert daemon.end() == 0


def test_a_visit_during_make_demo(tmp_path: Path, page: Page) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with make_demo(tmp_path, port) as demo:
        wait_for(lambda: answers(port), "the page")
        page.open(address)
        happy = page.wait_told("mood", "Happy")
        if happy > SOON:  # as above
            page.open(address)
            happy = page.wait_told("mood", "Happy")
        assert happy <= SOON
        page.browser.find_element("id", "pause").click()
        page.wait("mood", "Paused")
        page.wait("health", "Cameranone")
        page.browser.find_element("id", "pause").click()
        page.wait("mood", "Happy")
        page.check()
        assert page.complaints(address) == ([], set())
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(30)
    page.wait("link", "Not connected")
    with make_demo(tmp_path, port) as demo:
        page.wait("link", "Live")
        page.wait("mood", "Happy")


@contextlib.contextmanager
def make_demo(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `make demo` with a folder and a port of its own."""
    root = Path(__file__).parents[1]
    ready = ["make", "--silent", "--question", ".venv/.demo"]
    if subprocess.run(ready, cwd=root, stdout=subprocess.DEVNULL, check=False).returncode:
        missing("`make demo` is not set up: run it once")
    if a_camera_works():
        pytest.skip("with a camera `make demo` shows who is before it")
    command = ["make", "--silent", "demo", f"DEMO={folder}", f"PORT={port}", "SECONDS=120"]
    demo = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield demo
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGINT)
        demo.wait(30)


def is_open(film: Path) -> bool:
    """Return whether the service has the film open, which is its camera.

    Only root can see which files the service has open. But a write lease is only given on a file
    that nobody else has open (see fcntl(2)).
    """
    with film.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            return True
        return False


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


def test_the_live_preview(tmp_path: Path, camera: str, page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(tmp_path, camera, configuration=with_page(port)))
        daemon.wait_until(lambda: answers(port), "the page")
        other = stack.enter_context(Viewer(port))
        page.open(address)
        page.wait("mood", "Happy")
        assert page.text("preview") == "Show the live preview"
        assert not page.script("return document.getElementById('picture').checkVisibility()")
        page.tab_to("preview")
        page.press(Keys.ENTER, "preview")
        page.wait("notices", "The live preview is on: this page shows what the camera sees.")
        wait_for(lambda: colours(page) > 100, "the picture")
        assert other.status() == 200
        other.wait("health", previews=1)
        page.check_everywhere()

        page.press(Keys.ENTER, "preview")
        other.wait("health", previews=0)
        wait_for(lambda: page.text("notices") == "", "no notice on the page")
        assert colours(page) == 0

        # It ends when another page is looked at,
        page.press(Keys.ENTER, "preview")
        other.wait("health", previews=1)
        watching = page.browser.current_window_handle
        page.browser.switch_to.new_window("tab")
        other.wait("health", previews=0)
        page.browser.close()
        page.browser.switch_to.window(watching)
        page.wait("preview-hint", "because the page was hidden")

        # when the camera is closed,
        page.tab_to("preview")
        page.press(Keys.ENTER, "preview")
        other.wait("health", previews=1)
        page.tab_to("pause")
        page.press(Keys.ENTER, "pause")
        other.wait("health", previews=0)
        page.wait("mood", "Paused")
        page.wait("preview-hint", "The live preview has ended.")
        assert page.unusable("preview")
        page.press(Keys.ENTER, "pause")
        page.wait("mood", "Happy")

        # and with the visit.
        page.tab_to("preview")
        page.press(Keys.ENTER, "preview")
        other.wait("health", previews=1)
        assert page.complaints(address) == ([], set())
        page.browser.refresh()
        other.wait("health", previews=0)
        page.wait("mood", "Happy")
        assert page.text("notices") == ""
        assert daemon.end() == 0
        assert daemon.warnings() == []


def test_the_live_preview_ends_if_the_box_falls_silent(
    tmp_path: Path, camera: str, page: Page
) -> None:
    """The last picture must not pass for a live one, nor may the next come unasked."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(tmp_path, camera, configuration=with_page(port)))
        daemon.wait_until(lambda: answers(port), "the page")
        other = stack.enter_context(Viewer(port))
        assert other.status() == 200

        def watch() -> None:
            page.browser.find_element("id", "preview").click()
            other.wait("health", previews=1)
            wait_for(lambda: colours(page) > 100, "the picture")
            daemon.send(signal.SIGSTOP)

        def ended(hint: str) -> None:
            page.wait("preview-hint", hint)
            assert colours(page) == 0
            daemon.send(signal.SIGCONT)
            other.wait("health", previews=0)
            page.wait("link", "Live")
            wait_for(lambda: page.text("notices") == "", "no notice on the page")
            assert page.text("preview") == "Show the live preview"

        page.open(f"http://127.0.0.1:{port}/")
        page.wait("mood", "Happy")
        watch()
        page.script("window.fetch = () => Promise.reject(new Error())")
        page.script(A_MINUTE_LATER)
        ended("The live preview has ended because the box does not answer.")

        # The pictures may stop before the page knows that the box does not answer.
        page.browser.refresh()
        page.wait("mood", "Happy")
        watch()
        page.script("const now = performance.now(); performance.now = () => now")
        ended("The live preview has ended: the box sends no more pictures")
        assert daemon.end() == 0


def colours(page: Page) -> int:
    """Return how many grey levels the live picture has; 0 if there is none."""
    return int(
        page.script(
            "const c = document.getElementById('picture'); if (c.hidden || !c.width) return 0;"
            "const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
            "return new Set(data.filter((_, i) => i % 4 === 1)).size"
        )
    )


def test_a_lost_answer_is_no_refusal(tmp_path: Path, camera: str, page: Page) -> None:
    port = free_port()
    with Daemon(tmp_path, camera, configuration=with_page(port)) as daemon:
        daemon.wait_logged("the web page is at")
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("mood", "Happy")
        page.script(
            "const ask = window.fetch; window.fetch = async (...request) => {"
            "  const answer = await ask(...request);"
            "  if (request[1].method !== 'POST') return answer;"
            "  return new Promise((_, reject) => { window.lose = () => reject(new Error()); });"
            "}"
        )
        page.browser.find_element("id", "pause").click()
        page.wait("mood", "Paused")
        wait_for(lambda: page.script("return Boolean(window.lose)"), "the answer")
        page.script("window.lose()")
        assert page.text("notices") == "Paused: the camera is closed."
        assert page.text("pause") == "Resume"
        assert daemon.end() == 0


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


def test_the_token_is_asked_for(tmp_path: Path, camera: str, page: Page) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import (
        presence_of_element_located,
        staleness_of,
    )
    from selenium.webdriver.support.wait import WebDriverWait

    port = free_port()
    token = "0123456789abcdef0123"  # noqa: S105
    environment = {"SERENBOX_WEB_TOKEN": token}
    with Daemon(tmp_path, camera, configuration=with_page(port), environment=environment) as daemon:
        daemon.wait_logged("the web page is at")
        browser = page.browser
        page.open(f"http://localhost:{port}/")
        assert browser.current_url.endswith("/login")
        page.check_everywhere()
        for given in ("not the token of it", token):
            patient = WebDriverWait(browser, 30)
            field = patient.until(presence_of_element_located((By.ID, "token")))
            field.send_keys(given)
            field.submit()
            patient.until(staleness_of(field))  # the next page has the same field
        page.wait("mood", "Happy")
        assert browser.current_url == f"http://localhost:{port}/"
        browser.delete_all_cookies()
        # The timeline may have asked first, and the page with the button may already be gone.
        page.script("document.getElementById('pause')?.click()")
        wait_for(lambda: browser.current_url.endswith("/login"), "the question for the token")
        assert daemon.end() == 0


def test_pages_that_are_not_looked_at_do_not_keep_others_from_the_box(
    tmp_path: Path, camera: str, page: Page
) -> None:
    """A browser opens at most six connections to a box; each page that listens to it holds one."""
    port = free_port()
    with Daemon(tmp_path, camera, configuration=with_page(port)) as daemon:
        daemon.wait_logged("the web page is at")
        windows = []
        for _ in range(7):
            page.browser.switch_to.new_window("tab")
            page.open(f"http://127.0.0.1:{port}/")
            page.wait("mood", "Happy")
            windows.append(page.browser.current_window_handle)
        page.browser.find_element("id", "pause").click()
        page.wait("mood", "Paused")
        page.browser.switch_to.window(windows[0])
        page.wait("mood", "Paused")
        page.wait("link", "Live")
        page.browser.find_element("id", "pause").click()
        page.wait("mood", "Happy")
        for window in windows:
            page.browser.switch_to.window(window)
            page.browser.close()
        page.browser.switch_to.window(page.browser.window_handles[0])
        assert daemon.end() == 0

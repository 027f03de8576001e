"""The page in a real browser, over the real service: whole visits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import A_MINUTE_LATER
from tests.daemon_process import Daemon, wait_for, with_page
from tests.demo_clip import a_camera_works, make_clip
from tests.missing import missing
from tests.ports import free_port
from tests.web_client import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser import Page

SOON = 5.0
"""Seconds from opening the page to the mood, while the demonstration shows a face."""


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


def test_the_token_is_asked_for(tmp_path: Path, camera: str, page: Page) -> None:
    from selenium.common.exceptions import WebDriverException
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
            # Asked about a field of a page that is being left, Chromium may find no better answer
            # than an unknown error.
            patient = WebDriverWait(browser, 30, ignored_exceptions=[WebDriverException])
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

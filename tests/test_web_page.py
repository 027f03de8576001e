"""The page in a real browser, over the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import chromium, console, fetch_axe, requested, shape, violations
from tests.daemon_process import QUICK, Daemon, wait_for, write_script
from tests.mosquitto import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def axe(pytestconfig: pytest.Config) -> str:
    return fetch_axe(pytestconfig.cache.mkdir("serenbox"))


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    return write_script(
        tmp_path / "script.json", [{"frames": "face.png", "count": 1_000_000}], fps=5
    )


def text(browser: Chrome, element: str) -> str:
    return str(browser.execute_script(f"return document.getElementById('{element}').textContent"))


def wait_text(browser: Chrome, element: str, wanted: str) -> None:
    wait_for(lambda: wanted in text(browser, element), f"{wanted!r} on the page")


def test_a_visit(tmp_path: Path, camera: str, browser: Chrome, axe: str) -> None:
    from selenium.webdriver.common.keys import Keys

    port = free_port()
    quick = f"{QUICK}\n[web]\nenabled = true\nport = {port}\n"
    address = f"http://127.0.0.1:{port}/"
    with Daemon(tmp_path, camera, configuration=quick) as daemon:
        daemon.wait_logged("the web page is at")
        requested(browser)
        shape(browser, width=1080, height=760)
        browser.get(address)
        wait_text(browser, "mood", "Happy")
        wait_text(browser, "health", "script")
        wait_text(browser, "link", "Live")
        assert text(browser, "score-happy").strip().endswith("%")
        assert violations(browser, axe) == []

        shape(browser, width=360, height=740, phone=True)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360
        assert violations(browser, axe) == []

        shape(browser, width=1080, height=760, dark=True)
        assert violations(browser, axe) == []

        # By keyboard alone: the button is the second thing on the page to be reached.
        browser.execute_script("document.activeElement.blur()")
        for _ in range(2):
            browser.switch_to.active_element.send_keys(Keys.TAB)
        assert browser.switch_to.active_element.get_attribute("id") == "pause"
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        wait_text(browser, "mood", "Paused")
        wait_text(browser, "notices", "the camera is closed")
        wait_text(browser, "health", "Cameranone")
        daemon.wait_mood("paused")
        assert violations(browser, axe) == []
        assert browser.switch_to.active_element.get_attribute("id") == "pause"
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        wait_text(browser, "mood", "Happy")

        assert console(browser) == []
        asked = {url for url in requested(browser) if not url.startswith(("chrome:", "data:"))}
        assert asked
        assert {url for url in asked if not url.startswith(address)} == set()
        assert daemon.end() == 0

    wait_text(browser, "link", "Not connected")
    wait_text(browser, "notices", "does not answer")
    assert violations(browser, axe) == []
    with Daemon(tmp_path, camera, configuration=quick) as daemon:
        wait_text(browser, "link", "Live")
        wait_text(browser, "mood", "Happy")
        wait_for(lambda: text(browser, "notices") == "", "no complaint on the page")
        assert daemon.end() == 0


def test_the_token_is_asked_for(tmp_path: Path, camera: str, browser: Chrome, axe: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import (
        presence_of_element_located,
        staleness_of,
    )
    from selenium.webdriver.support.wait import WebDriverWait

    port = free_port()
    quick = f"{QUICK}\n[web]\nenabled = true\nport = {port}\n"
    token = "0123456789abcdef0123"  # noqa: S105
    environment = {"SERENBOX_WEB_TOKEN": token}
    with Daemon(tmp_path, camera, configuration=quick, environment=environment) as daemon:
        daemon.wait_logged("the web page is at")
        browser.get(f"http://localhost:{port}/")
        assert browser.current_url.endswith("/login")
        assert violations(browser, axe) == []
        for given in ("not the token of it", token):
            patient = WebDriverWait(browser, 30)
            field = patient.until(presence_of_element_located((By.ID, "token")))
            field.send_keys(given)
            field.submit()
            patient.until(staleness_of(field))  # the next page has the same field
        wait_text(browser, "mood", "Happy")
        assert browser.current_url == f"http://localhost:{port}/"
        assert daemon.end() == 0

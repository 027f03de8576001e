"""A real browser for tests: headless Chromium, and axe-core to judge how accessible a page is.

`Page` is the box's web page: it knows what the page has shown, and when.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.daemon_process import wait_for
from tests.missing import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

AXE = "axe-core@4.14.1"

REBOUND = "rebound.example"
"""A foreign host name that resolves to the loopback."""

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-dev-shm-usage", "--mute-audio"),
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
)


DESKTOP: dict[str, int] = {"width": 1080, "height": 760}
PHONE: dict[str, int] = {"width": 360, "height": 740, "phone": True}

RECORDER = """
  const told = window.told = [];
  new MutationObserver(() => {
    for (const id of ["mood", "detail", "notices", "link", "preview-hint"]) {
      const text = document.getElementById(id)?.textContent.trim();
      const last = told.findLast((each) => each.id === id);
      if (text && text !== last?.text) told.push({ id, text, seconds: performance.now() / 1000 });
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
"""
"""Records each text that the page shows, however briefly, and when, in seconds after opening."""

A_MINUTE_LATER = (
    "const now = performance.now.bind(performance); performance.now = () => now() + 60000"
)
"""Sets the page's clock a minute ahead, so that the box seems to have been silent."""


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Run Chromium with an empty profile."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        missing(
            "Chromium, which this test needs, is not installed: "
            "apt install chromium chromium-driver"
        )
    try:
        from selenium import webdriver
    except ImportError:
        missing("selenium, which this test needs, is not installed: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = str(program)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(str(driver)))
    try:
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": RECORDER})
        yield browser
    finally:
        browser.quit()


def shape(
    browser: Chrome, *, width: int, height: int, dark: bool = False, phone: bool = False
) -> None:
    """Give the browser a window of that size, in CSS pixels, and a colour scheme."""
    command = browser.execute_cdp_cmd
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    command("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    command("Emulation.setEmulatedMedia", {"features": [scheme]})


def console(browser: Chrome) -> list[str]:
    """Return the messages on the console since the last call, without those of level INFO."""
    return [str(entry["message"]) for entry in _log(browser, "browser") if entry["level"] != "INFO"]


def requested(browser: Chrome) -> list[str]:
    """Return every address asked for since the last call."""
    found = []
    for entry in _log(browser, "performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(str(message["params"]["request"]["url"]))
    return found


def violations(browser: Chrome, axe: str) -> list[str]:
    """Return what axe-core finds wrong with the page, a line for each."""
    # Through the debugger: the page's own policy lets no foreign script in.
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    results = browser.execute_async_script(
        "axe.run().then(arguments[0], (error) => arguments[0]({failed: String(error)}))"
    )
    assert "failed" not in results, results
    assert results["passes"]
    return [
        f"{found['id']}: {found['help']}: {[node['html'][:120] for node in found['nodes']]}"
        for found in results["violations"]
    ]


def fetch_axe(folder: Path) -> str:
    """Return axe-core, fetched by npm once and then kept in the folder."""
    script = folder / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            missing("npm, which fetches axe-core for this test, is not installed: apt install npm")
        with tempfile.TemporaryDirectory(dir=folder) as own:  # another process may fetch it, too
            done = subprocess.run(
                [str(npm), "pack", "--silent", AXE],
                cwd=own,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                missing(f"npm cannot fetch {AXE}, for this test: {done.stderr.strip()[-300:]}")
            (archive,) = Path(own).glob("axe-core-*.tgz")
            with tarfile.open(archive) as packed:
                member = packed.extractfile("package/axe.min.js")
                assert member is not None
                made = Path(own, script.name)
                made.write_bytes(member.read())
            made.replace(script)
    return script.read_text("utf-8")


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", browser.get_log(kind))  # type: ignore[no-untyped-call]


class Page:
    """The browser, and what it shows."""

    def __init__(self, browser: Chrome, axe: str) -> None:
        self.browser = browser
        self._axe = axe
        self.script: Callable[..., Any] = browser.execute_script

    def open(self, address: str) -> None:
        """Open an address; forget earlier console messages and requests."""
        self.browser.get("about:blank")
        console(self.browser)
        requested(self.browser)
        self.browser.get(address)

    def text(self, element: str) -> str:
        return str(self.script(f"return document.getElementById('{element}').textContent")).strip()

    def unusable(self, element: str) -> bool:
        """Return whether a button is marked as disabled."""
        disabled = self.browser.find_element("id", element).get_attribute("aria-disabled")
        return disabled == "true"

    def wait(self, element: str, wanted: str) -> None:
        """Wait until an element shows a text."""
        wait_for(lambda: wanted in self.text(element), f"{wanted!r} on the page")

    def told(self, element: str) -> list[tuple[str, float]]:
        """Return each text an element has shown, and when, in seconds after the page was opened."""
        return [
            (each["text"], each["seconds"])
            for each in self.script("return window.told")
            if each["id"] == element
        ]

    def wait_told(self, element: str, *texts: str) -> float:
        """Wait until an element has shown these texts in turn; return when the last appeared."""
        found: list[float] = []

        def shown() -> bool:
            wanted = list(texts)
            for text, seconds in self.told(element):
                if wanted and wanted[0] in text:
                    wanted.pop(0)
                    found[:] = [seconds]
            return not wanted

        wait_for(shown, f"{' and then '.join(texts)} on the page")
        return found[0]

    def check(self) -> None:
        """Check that what is shown is accessible."""
        assert violations(self.browser, self._axe) == []

    def check_everywhere(self) -> None:
        """Check that on a phone and a desktop, light and dark, and that the page fits the width."""
        for form in (PHONE, {**PHONE, "dark": True}, {**DESKTOP, "dark": True}, DESKTOP):
            shape(self.browser, **form)  # type: ignore[arg-type]
            width = self.script("return document.documentElement.scrollWidth")
            assert width <= form["width"]
            self.check()

    def press(self, key: str, element: str) -> None:
        """Press a key on an element, which must have the focus."""
        focused = self.browser.switch_to.active_element
        assert focused.get_attribute("id") == element
        focused.send_keys(key)

    def tab_to(self, element: str) -> None:
        """Go to an element with the Tab key, from the top of the page."""
        from selenium.webdriver.common.keys import Keys

        self.script("document.activeElement.blur()")
        reached = []
        while element not in reached:
            self.browser.switch_to.active_element.send_keys(Keys.TAB)
            focused = self.browser.switch_to.active_element
            reached.append(focused.get_attribute("id") or focused.get_attribute("class"))
            assert len(reached) < 10, reached

    def complaints(self, address: str) -> tuple[list[str], set[str]]:
        """Return the messages on the console, and the requests to any other site."""
        asked = {url for url in requested(self.browser) if not url.startswith(("chrome:", "data:"))}
        assert asked
        return console(self.browser), {url for url in asked if not url.startswith(address)}

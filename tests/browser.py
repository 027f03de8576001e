"""A real browser for tests: headless Chromium, and axe-core to judge how accessible a page is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

AXE = "axe-core@4.14.1"

REBOUND = "rebound.example"
"""A name of somebody else's that leads to this machine."""

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-dev-shm-usage", "--mute-audio"),
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
)


def missing(sentence: str) -> None:
    """Skip the test; fail it where SERENBOX_REQUIRE_ALL is 1."""
    if os.environ.get("SERENBOX_REQUIRE_ALL") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)


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
    """Return what the console has said since the last call."""
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
        done = subprocess.run(
            [str(npm), "pack", "--silent", AXE],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            missing(f"npm cannot fetch {AXE}, which this test needs: {done.stderr.strip()[-300:]}")
        archive = next(folder.glob("axe-core-*.tgz"))
        with tarfile.open(archive) as packed:
            member = packed.extractfile("package/axe.min.js")
            assert member is not None
            script.write_bytes(member.read())
        archive.unlink()
    return script.read_text("utf-8")


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", browser.get_log(kind))  # type: ignore[no-untyped-call]

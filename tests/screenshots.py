"""Take the pictures of the web page in `docs/images`: desktop, phone, dark, live preview.

Run: `python -m tests.screenshots` in the checkout. It needs Chromium with its driver and takes two
minutes, because the service first watches the film of `make demo`, to have a timeline to show.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser import chromium, shape
from tests.daemon_process import Daemon, wait_for
from tests.demo_clip import make_clip
from tests.ports import free_port

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

IMAGES = Path(__file__).parent.parent / "docs" / "images"

WATCHED = 75.0
"""Seconds to watch the film, so that two minutes of the timeline have something to show."""


def main() -> None:
    """Run the service and take every picture of its page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="serenbox-pictures-") as name:
        folder, port = Path(name), free_port()
        film = Path("demo", "portrait.mkv")  # the page shows its name
        make_clip(film)
        settings = ("camera.loop=true", "web.enabled=true", f"web.port={port}")
        arguments = [word for each in settings for word in ("--set", each)]
        with (
            Daemon(folder, str(film), configuration="", arguments=arguments) as daemon,
            chromium(folder / "profile") as browser,
        ):
            daemon.wait_logged("the web page is at")
            time.sleep(WATCHED)
            browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
            shape(browser, width=1120, height=560)
            browser.get(f"http://127.0.0.1:{port}/")
            take(browser, "web-desktop")
            shape(browser, width=1120, height=560, dark=True)
            take(browser, "web-dark")
            shape(browser, width=390, height=844, phone=True)
            take(browser, "web-phone")
            shape(browser, width=1120, height=1120)
            browser.execute_script("document.getElementById('preview').click()")
            take(browser, "web-preview")
            daemon.end()


def take(browser: Chrome, name: str) -> None:
    """Write a picture of the page as soon as it shows a clear mood."""
    script = "return document.getElementById('score-happy').textContent"
    # Waiting until somebody comes into view leaves time enough.
    wait_for(lambda: "Happy9" not in str(browser.execute_script(script)), "nobody in view")
    wait_for(lambda: "Happy9" in str(browser.execute_script(script)), "the mood")
    time.sleep(1)  # the bars take a moment to grow
    path = IMAGES / f"{name}.png"
    browser.save_screenshot(str(path))
    print(path.relative_to(IMAGES.parent.parent))


if __name__ == "__main__":
    main()

"""The live preview in a real browser."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from tests.browser import A_MINUTE_LATER
from tests.daemon_process import Daemon, wait_for, with_page
from tests.ports import free_port
from tests.web_client import Viewer, answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Page


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

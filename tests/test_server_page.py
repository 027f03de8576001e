"""The page of `serenbox serve` in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from tests.browser import PHONE, shape
from tests.daemon_process import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Page
    from tests.server_process import Server


def test_an_answer_stands_below_no_other_picture(
    tmp_path: Path, patient_server: Server, portrait_file: Path, page: Page
) -> None:
    nobody = tmp_path / f"{'a long name ' * 5}.png"
    cv2.imwrite(str(nobody), np.full((300, 300, 3), 128, np.uint8))
    address = f"http://127.0.0.1:{patient_server.port}/"
    page.open(f"{address}docs")
    page.wait("operations", "POST /predict")
    choose, send = (page.browser.find_element("css selector", tag) for tag in ("input", "button"))

    choose.send_keys(str(portrait_file))
    send.click()
    page.wait("status", "Answer 200")
    assert "happy" in page.text("scores")
    page.check()
    assert page.complaints(address)[0] == []

    choose.send_keys(str(nobody))
    assert not [each for each in ("scores", "answer") if shown(page, each)]
    assert page.text("status") == ""
    send.click()
    page.wait("status", "the picture shows no face")
    assert shown(page, "answer")
    assert not shown(page, "scores")
    shape(page.browser, **PHONE)  # type: ignore[arg-type]
    assert page.script("return document.documentElement.scrollWidth") <= PHONE["width"]
    page.check()


def test_a_late_answer_is_not_shown_below_another_picture(
    tmp_path: Path, patient_server: Server, portrait_file: Path, page: Page
) -> None:
    other = tmp_path / "other.png"
    cv2.imwrite(str(other), np.full((300, 300, 3), 128, np.uint8))
    page.open(f"http://127.0.0.1:{patient_server.port}/docs")
    page.wait("operations", "POST /predict")
    choose, send = (page.browser.find_element("css selector", tag) for tag in ("input", "button"))
    page.script(
        "const ask = fetch; window.fetch = async (...request) => {"
        "  const reply = await ask(...request);"
        "  await new Promise((go) => { window.deliver = go; });"
        "  setTimeout(() => { window.delivered = true; }, 200);"
        "  return reply; }"
    )

    choose.send_keys(str(portrait_file))
    send.click()
    page.wait("status", "Sending")
    wait_for(lambda: bool(page.script("return Boolean(window.deliver)")), "the answer")
    choose.send_keys(str(other))
    page.script("window.deliver()")
    wait_for(lambda: bool(page.script("return Boolean(window.delivered)")), "the page to have it")
    assert page.text("status") == ""
    assert not shown(page, "scores")


def shown(page: Page, element: str) -> bool:
    """Return whether an element is to be seen."""
    return bool(page.browser.find_element("id", element).is_displayed())

"""Whom the application lets watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.web.wsgi import OPEN_STREAM, PICTURES
from tests.web_box import HAPPY, TOKEN, Box, got

if TYPE_CHECKING:
    from werkzeug.test import TestResponse


@pytest.fixture
def box() -> Box:
    return Box()


INTENT = {"X-SerenBox-Preview": "on"}


def preview(box: Box, headers: dict[str, str], address: str = "127.0.0.1") -> TestResponse:
    """Ask for the live preview of a box that senses and has room for a viewer."""
    box.board.take("mood", HAPPY)
    environment = {OPEN_STREAM: lambda kind: kind == PICTURES, "REMOTE_ADDR": address}
    return box.client.post("/api/preview", headers=headers, environ_overrides=environment)


def test_the_preview_is_left_to_the_server(box: Box) -> None:
    answer = preview(box, INTENT)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in answer.headers
    environment = {OPEN_STREAM: lambda _: False}
    busy = box.client.post("/api/preview", headers=INTENT, environ_overrides=environment)
    assert (busy.status_code, "Retry-After" in busy.headers) == (503, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # what a form or an image of another site can send
        ({**INTENT, "Origin": "http://evil.example"}, 403),
        ({**INTENT, "Origin": "null"}, 403),
        ({**INTENT, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**INTENT, "Sec-Fetch-Site": "same-site"}, 403),
        ({**INTENT, "Host": "evil.example"}, 421),  # DNS rebinding
        ({**INTENT, "Host": "127.0.0.1.evil.example"}, 421),
        ({**INTENT, "Host": "mood.home"}, 403),  # a proxy's name, perhaps
        ({**INTENT, "X-Forwarded-For": "127.0.0.1"}, 403),
        ({**INTENT, "X-Forwarded-Host": "localhost"}, 403),
        ({**INTENT, "X-Real-IP": "127.0.0.1"}, 403),
        ({**INTENT, "Forwarded": "for=10.0.0.1"}, 403),
        ({**INTENT, "Via": "1.1 proxy"}, 403),
        ({**INTENT, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_the_preview_across_origins(box: Box, headers: dict[str, str], status: int) -> None:
    assert preview(box, headers).status_code == status


def test_no_other_site_is_allowed_to_ask_for_the_preview(box: Box) -> None:
    """The preview's header makes a browser ask first; the answer must allow nothing."""
    asked = box.client.options("/api/preview", headers={"Origin": "http://evil.example"})
    assert asked.status_code == 403
    for answer in (asked, box.client.options("/api/preview"), preview(box, INTENT)):
        assert not [name for name, _ in answer.headers if "access-control" in name.lower()]


def test_the_preview_is_for_who_sits_here_or_has_the_token(box: Box) -> None:
    assert preview(box, INTENT, "192.168.1.9").status_code == 403
    assert preview(box, INTENT, "::1").status_code == 200
    guarded, bearer = Box(TOKEN), {"Authorization": f"Bearer {TOKEN}"}
    for address in ("127.0.0.1", "192.168.1.9"):
        assert preview(guarded, INTENT, address).status_code == 401
        host = {"Host": "192.168.1.5"}
        assert preview(guarded, INTENT | bearer | host, address).status_code == 200


def test_the_preview_needs_an_open_camera(box: Box) -> None:
    refused = box.client.post("/api/preview", headers=INTENT)
    assert refused.status_code == 409
    assert "paused or lost" in got(refused)["error"]
    for method in ("GET", "HEAD", "PUT"):
        assert box.client.open("/api/preview", method=method).status_code == 405


def test_the_preview_can_be_forbidden() -> None:
    box = Box(preview_allowed=False)
    assert "web.preview is false" in got(preview(box, INTENT))["error"]
    assert got(box.client.get("/api/health"))["preview_allowed"] is False

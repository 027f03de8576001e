from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from werkzeug.datastructures import Headers

from serenbox.errors import SettingsError
from serenbox.settings.schema import WebSettings
from serenbox.web.access import Access, read_token, same_site

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0123456789abcdef"  # noqa: S105
EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("SERENBOX_WEB_TOKEN", raising=False)


def test_beyond_this_machine_only_with_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in (EVERYWHERE, "192.168.1.5", "::", "raspberrypi.local"):
        with pytest.raises(SettingsError, match="no token"):
            Access.of(WebSettings(host=host))
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", TOKEN)
    assert Access.of(WebSettings(host=EVERYWHERE)).token == TOKEN


@pytest.mark.parametrize(
    "token", ["short", "a" * 15, "with a blank in between", "a" * 15 + "\tb", "ü" * 20]
)
def test_a_token_that_is_none(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", token)
    with pytest.raises(SettingsError, match="too short or has invalid characters"):
        Access.of(WebSettings())


def test_the_credential_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", TOKEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_token() == TOKEN  # there is no credential yet
    (tmp_path / "web-token").write_text("f" * 32 + "\n")
    assert read_token() == "f" * 32
    (tmp_path / "web-token").write_bytes(b"\xff" * 32)
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_token()


def test_a_credential_that_is_empty_or_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "web-token").write_text("\n")
    assert read_token() is None
    with pytest.raises(SettingsError, match="no token"):
        Access.of(WebSettings(host=EVERYWHERE))
    (tmp_path / "web-token").unlink()
    (tmp_path / "web-token").mkdir()
    with pytest.raises(SettingsError, match=r"web-token cannot be read \(Is a directory\)"):
        read_token()


@pytest.mark.parametrize(
    ("header", "here", "beyond"),
    [
        ("127.0.0.1:8765", True, True),
        ("localhost:8765", True, True),
        ("LocalHost", True, True),
        ("[::1]:8765", True, True),
        ("192.168.1.5:8765", False, True),
        ("evil.example:8765", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("localhost.evil.example:80", False, False),
        ("mood.home:8765", True, True),
        ("", False, False),
        (None, False, False),
        ("[", False, False),
    ],
)
def test_a_name_of_this_box(
    header: str | None, here: bool, beyond: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Access.of(WebSettings(names="mood.home box")).knows_host(header) is here
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", TOKEN)
    open_one = Access.of(WebSettings(host=EVERYWHERE, names="Mood.Home"))
    assert open_one.knows_host(header) is beyond


def test_the_machine_goes_by_its_own_name_only_beyond_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", TOKEN)
    monkeypatch.setattr(socket, "gethostname", lambda: "LivingRoom")  # browsers use small letters
    for name in ("livingroom", "LivingRoom:8765", "livingroom.local:8765"):
        assert Access.of(WebSettings(host=EVERYWHERE)).knows_host(name)
        assert not Access.of(WebSettings()).knows_host(name)


@pytest.mark.parametrize(
    ("headers", "method", "allowed"),
    [
        ({}, "POST", True),
        ({"Sec-Fetch-Site": "same-origin"}, "POST", True),
        ({"Sec-Fetch-Site": "none"}, "GET", True),
        ({"Sec-Fetch-Site": "cross-site"}, "GET", False),
        ({"Sec-Fetch-Site": "same-site"}, "POST", False),
        ({"Sec-Fetch-Site": "odd"}, "GET", False),
        ({"Origin": "http://box:8765"}, "POST", True),
        ({"Origin": "https://box:8765"}, "POST", True),
        ({"Origin": "http://box:1"}, "POST", False),
        ({"Origin": "http://evil.example"}, "POST", False),
        ({"Origin": "null"}, "POST", False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, "POST", False),
    ],
)
def test_no_other_site(headers: dict[str, str], method: str, allowed: bool) -> None:
    given = Headers({"Host": "box:8765", **headers})
    assert same_site(given, method=method) is allowed


def test_a_link_from_another_site_may_be_followed_but_not_framed_or_posted() -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    document = Headers({"Host": "box", **link, "Sec-Fetch-Dest": "document"})
    assert same_site(document, method="GET")
    assert not same_site(document, method="POST")
    frame = Headers({"Host": "box", **link, "Sec-Fetch-Dest": "iframe"})
    assert not same_site(frame, method="GET")


def test_the_token_and_what_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Access.of(WebSettings()).knows_token(None, None)
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", TOKEN)
    access = Access.of(WebSettings())
    assert access.knows_token(f"Bearer {TOKEN}", None)
    assert access.knows_token(f"bearer {TOKEN}", None)
    assert access.knows_token(None, access.session)
    assert TOKEN not in access.session
    for authorization in (None, TOKEN, f"Basic {TOKEN}", "Bearer ", "Bearer ü", f"Bearer {TOKEN}0"):
        assert not access.knows_token(authorization, None)
    for cookie in ("", TOKEN, "ü"):
        assert not access.knows_token(None, cookie)

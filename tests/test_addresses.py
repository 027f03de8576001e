from __future__ import annotations

import pytest

from serenbox.addresses import (
    has_clear_login,
    host_and_port,
    is_ip_address,
    is_loopback,
    site,
    without_passwords,
)


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST")))
    others = ("0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "")  # noqa: S104
    assert not any(map(is_loopback, others))


def test_ip_addresses_are_no_names() -> None:
    assert all(map(is_ip_address, ("10.0.0.1", "::1", "fe80::1%eth0")))
    assert not any(map(is_ip_address, ("[::1]", "10.0.0.1:80", "10.0.0", "localhost", "")))


def test_addresses_of_the_new_kind_stand_in_brackets() -> None:
    assert host_and_port("localhost", 1883) == "localhost:1883"
    assert host_and_port("::1", 1883) == "[::1]:1883"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://cam:8080/video?user=me&pwd=geheim", "http://cam:8080"),
        ("http://cam/geheim@2", "http://cam"),
        ("http://cam:8080/stream@2", "http://cam:8080"),
        ("http://[::1]:8080/v?email=me@x.org", "http://[::1]:8080"),
        ("rtsp://me:geh eim@cam/1", "rtsp://cam"),
        ("rtsp://me:geheim@[::1]:554/a#geheim", "rtsp://[::1]:554"),
        ("rtsp://me:geh/eim@cam:554/a", "rtsp://cam:554"),
        ("rtsp://me:geh?eim@cam", "rtsp://cam"),
        ("rtsp://me:geh#eim@cam?x", "rtsp://cam"),
        ("rtsp://me:geh@eim@cam", "rtsp://cam"),
        ("rtsp://cam/user=me_password=geheim_channel=1", "rtsp://cam"),
    ],
)
def test_the_site_of_an_address_tells_no_secret(address: str, shown: str) -> None:
    assert site(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:geheim@cam:554/1", "rtsp://me:***@cam:554/1"),
        ("rtsp://me:geh/eim@cam/1", "rtsp://me:***@cam/1"),
        ("rtsp://me:geh#eim@cam", "rtsp://me:***@cam"),
        ("http://cam/video?user=me&pwd=geheim", "http://cam/video?user=***&pwd=***"),
        ("rtsp://cam/user=me_password=geheim/1", "rtsp://cam/user=***/1"),
        ("http://cam/v?user=me&pwd=geh/e?i#m", "http://cam/v?user=***&pwd=***"),
        ("rtsp://me:geh eim@cam/x", "rtsp://me:***@cam/x"),
        ("curl http://me:geheim@a/b http://c:80/d", "curl http://me:***@a/b http://c:80/d"),
        ("http://cam:8080/stream@2", "http://cam:8080/stream@2"),
        ("/dev/video0", "/dev/video0"),
        ("level=3", "level=3"),
    ],
)
def test_stars_stand_for_passwords(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@pytest.mark.parametrize(
    ("address", "clear"),
    [
        ("rtsp://me:geheim@cam:554/1", True),
        ("rtsp://me:geh%2Feim@cam/1", True),
        ("http://cam:8080/stream@2", True),
        ("http://[::1]:8080/stream@2", True),
        ("http://cam/stream@2", True),
        ("film@home.mkv", True),
        ("usb", True),
        ("rtsp://me:geh/eim@cam", False),
        ("rtsp://me:geh?eim@cam", False),
        ("rtsp://me:geh#eim@cam", False),
        ("rtsp://me:geh eim@cam", False),
    ],
)
def test_a_login_must_end_where_it_seems_to(address: str, clear: bool) -> None:
    assert has_clear_login(address) is clear

"""The doctor's checks of what uses the network: broker, cameras in the network and page."""

from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.doctor import Result, Roots, service
from serenbox.doctor.camera import check_camera
from serenbox.doctor.firewall import Firewall, can_look_up
from serenbox.doctor.page import check_page
from serenbox.doctor.reach import Reach
from serenbox.outputs import mqtt_access
from serenbox.settings.schema import MqttSettings, WebSettings
from tests.machines import bare_machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


def test_broker_is_only_tried_where_it_is_used() -> None:
    result = service.check_broker(MqttSettings(enabled=False, port=1))
    assert (result.state, result.seen) == ("ok", "not used: mqtt.enabled is false")


def test_broker_that_listens_is_reached_and_one_that_is_gone_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = MqttSettings(enabled=True, host="127.0.0.1", port=port)
        assert service.check_broker(settings).state == "ok"
    gone = service.check_broker(settings)
    assert gone.state == "fail"
    assert f"127.0.0.1:{port}" in gone.seen
    assert "mosquitto" in gone.mend


def test_what_the_service_says_of_the_broker_counts() -> None:
    elsewhere = "the broker at old.lan:1883 cannot be reached (timed out)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = MqttSettings(enabled=True, host="127.0.0.1", port=server.getsockname()[1])
        refused = f"the broker at 127.0.0.1:{settings.port} refuses user 'serenbox'"
        found = [
            service.check_broker(settings, None, {"outputs": {"mqtt": mqtt}})
            for mqtt in (
                {"connected": False, "problem": refused},
                {"connected": False, "problem": elsewhere},
                {"connected": True, "problem": None},
                {"connected": False, "problem": None},
            )
        ]
    assert [result.state for result in found] == ["fail", "warn", "ok", "ok"]
    assert found[0].seen == refused
    assert found[1].seen.endswith(f" takes connections; the running service says: {elsewhere}")
    assert found[2].seen.endswith(" takes connections, and the service is connected")


def distrust(settings: MqttSettings) -> str:
    error = ssl.SSLCertVerificationError()
    error.verify_message, error.verify_code = "self-signed certificate", 18
    return str(mqtt_access.connect_error(error, settings))


def test_whatever_keeps_the_service_from_its_broker_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what does not begin with the broker's name."""
    (tmp_path / mqtt_access.CREDENTIAL).write_bytes(b"\xff")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(mqtt_access.BrokerError) as password:
        mqtt_access.read_password()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        mine, old = (
            MqttSettings(enabled=True, host="127.0.0.1", port=port, tls=True, ca_file=file)
            for file in ("/gone.crt", "/old.crt")
        )
        with pytest.raises(mqtt_access.BrokerError) as certificates:
            mqtt_access.tls_context(mine)
        found = [
            service.check_broker(settings, None, {"outputs": {"mqtt": {"problem": problem}}})
            for settings, problem in (
                (mine, str(password.value)),
                (mine, distrust(mine)),
                (mine, str(certificates.value)),
                (old, str(certificates.value)),
                (mine, distrust(MqttSettings(host="old.lan"))),
            )
        ]
    assert [result.state for result in found] == ["fail", "fail", "fail", "warn", "warn"]
    assert found[1].seen.startswith(f"the certificate of the broker at 127.0.0.1:{port} is not")


CONFINED = Firewall.of_properties({"IPAddressAllow": "::1/128", "IPAddressDeny": "::/0 0.0.0.0/0"})
"""A unit that may reach `::1` alone: not even 127.0.0.1, on which the tests' servers listen."""


def open_to(*networks: str) -> Firewall:
    """Return the firewall of a unit that may reach its own machine and these networks."""
    allowed = " ".join(("127.0.0.0/8", *networks))
    return Firewall.of_properties({"IPAddressAllow": allowed, "IPAddressDeny": "::/0 0.0.0.0/0"})


def test_broker_that_the_service_may_not_reach_fails_with_what_opens_it(roots: Roots) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = MqttSettings(enabled=True, host="127.0.0.1", port=port)
        result = service.check_broker(settings, Reach(CONFINED, roots.etc))
        assert result.state == "fail"
        assert result.seen == (
            f"127.0.0.1:{port} takes connections, but serenbox.service may not reach 127.0.0.1"
        )
        assert service.check_broker(settings, Reach(open_to(), roots.etc)).state == "ok"
    program, _, pipe = result.mend.partition(" | ")
    assert pipe.startswith(
        "sudo install -D -m 644 /dev/stdin /etc/systemd/system/serenbox.service.d/"
    )
    printed = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout == "[Service]\nIPAddressAllow=127.0.0.1\n"


def test_broker_whose_name_the_service_may_ask_nobody_for_fails(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    (roots.etc / "resolv.conf").write_text("# by the router\nnameserver 192.168.1.1\n")
    find = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest: find("127.0.0.1", *rest))
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = MqttSettings(enabled=True, host="broker.lan", port=server.getsockname()[1])
        result = service.check_broker(settings, Reach(open_to(), roots.etc))
        (roots.etc / "hosts").write_text("127.0.0.1 localhost\n127.0.0.1 Broker.lan  # here\n")
        mended = service.check_broker(settings, Reach(open_to(), roots.etc))
    assert result.state == "fail"
    assert result.seen.endswith("may not look up the address of broker.lan")
    assert result.mend == "echo '127.0.0.1 broker.lan' | sudo tee -a /etc/hosts"
    assert mended.state == "ok"


def test_a_camera_in_the_network_is_looked_for_like_the_broker(roots: Roots) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = f"rtsp://me:geheim@127.0.0.1:{port}/live?key=geheim"
        found = check_camera(source, [], roots, Reach(open_to(), roots.etc))
        confined = check_camera(source, [], roots, Reach(CONFINED, roots.etc))
    gone = check_camera(source, [], roots, Reach(open_to(), roots.etc))
    assert found.state == "ok"
    assert found.seen.startswith(f"127.0.0.1:{port} takes connections; whether it sends video")
    assert (confined.state, gone.state) == ("fail", "fail")
    assert "IPAddressAllow=127.0.0.1" in confined.mend
    assert "geheim" not in f"{found}{confined}{gone}"


@pytest.mark.parametrize("address", ["http://cam:99999/", "http://[::1", "http:///v"])
def test_a_camera_of_an_impossible_place(roots: Roots, address: str) -> None:
    result = check_camera(address, [], roots, edit="editor my.toml")
    assert (result.state, result.mend) == ("fail", "editor my.toml")
    assert result.seen.endswith(" names no host and port")


@pytest.mark.parametrize(
    ("host", "firewall", "files", "expected"),
    [
        ("broker.lan", open_to("192.168.1.1"), {"resolv.conf": "nameserver 192.168.1.1"}, True),
        ("broker.lan", open_to("192.168.0.0/16"), {"resolv.conf": "nameserver 192.168.1.1"}, True),
        ("broker.lan", open_to(), {"resolv.conf": "nameserver 192.168.1.1"}, False),
        ("broker.lan", open_to(), {"resolv.conf": "nameserver 127.0.0.53"}, True),
        ("broker.lan", open_to(), {"resolv.conf": "nameserver fe80::1%eth0"}, False),
        ("broker.lan", Firewall(), {"resolv.conf": "nameserver 192.168.1.1"}, True),
        ("broker.lan", open_to(), {}, True),
        ("broker.local", open_to(), {"resolv.conf": "nameserver 192.168.1.1"}, True),
        ("192.168.1.10", open_to(), {"resolv.conf": "nameserver 192.168.1.1"}, True),
        (
            "broker.lan",
            open_to(),
            {"resolv.conf": "nameserver 192.168.1.1", "nsswitch.conf": "hosts: files resolve dns"},
            True,
        ),
    ],
)
def test_whether_a_name_can_be_looked_up(
    roots: Roots, host: str, firewall: Firewall, files: dict[str, str], expected: bool
) -> None:
    for name, text in files.items():
        (roots.etc / name).write_text(f"{text}\n")
    assert can_look_up(host, roots.etc, firewall) is expected


def test_what_is_no_network_and_no_address_is_no_hindrance() -> None:
    assert Firewall.of_properties({"IPAddressDeny": "[unprintable]"}) == Firewall()
    assert CONFINED.lets_through("broker.lan")
    assert CONFINED.lets_through("::1")
    assert not CONFINED.lets_through("127.0.0.1")


def test_broker_of_a_name_that_cannot_be_is_not_reached() -> None:
    result = service.check_broker(MqttSettings(enabled=True, host="raspberrypi..local"))
    assert result.state == "fail"
    assert "raspberrypi..local:1883 takes no connections" in result.seen


def test_the_page_is_open_to_nobody_or_has_a_token(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERENBOX_WEB_TOKEN", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    def look(firewall: Firewall | None = None, **settings: Any) -> Result:  # noqa: ANN401
        return check_page(WebSettings(**settings), firewall or Firewall(), roots.etc)

    assert look().state == "ok"
    assert look(enabled=True).seen == "for this machine only: 127.0.0.1, port 8765"
    bare = look(enabled=True, host="0.0.0.0")  # noqa: S104
    assert (bare.state, bare.seen) == (
        "fail",
        "0.0.0.0, port 8765: others could open it, and there is no token",
    )
    additions = roots.etc / "systemd" / "system" / "serenbox.service.d"
    additions.mkdir(parents=True)
    _, _, rest = bare.mend.partition("printf ")
    printed = subprocess.run(
        ["sh", "-c", f"printf {rest.partition(' | ')[0]}"],
        capture_output=True,
        text=True,
        check=True,
    )
    for text in (printed.stdout.replace("=", " = "), printed.stdout):  # systemd takes both
        (additions / "web-token.conf").write_text(text)
        assert look(enabled=True, host="0.0.0.0").state == "ok"  # noqa: S104
    (roots.etc / "serenbox.env").write_text("# the page\nSERENBOX_WEB_TOKEN=geheim\n")
    (roots.etc / "other.env").write_text("#SERENBOX_WEB_TOKEN=geheim\nSERENBOX_WEB_TOKEN=\n")
    for line, state in {
        "EnvironmentFile=/etc/serenbox.env": "ok",
        "EnvironmentFile = -/etc/serenbox.env": "ok",
        "EnvironmentFile=/etc/other.env": "fail",
        "EnvironmentFile=-/etc/none.env": "fail",
        "#EnvironmentFile=/etc/serenbox.env": "fail",
        "ImportCredential=web-*": "ok",
        "ImportCredential=serenbox.web:web-token": "ok",
        "ImportCredential=serenbox.*:web-": "ok",
        "ImportCredential=mqtt-*": "fail",
    }.items():
        (additions / "web-token.conf").write_text(f"[Service]\n{line}\n")
        assert (line, look(enabled=True, host="0.0.0.0").state) == (line, state)  # noqa: S104
    (additions / "web-token.conf").write_text(printed.stdout)
    shut = look(open_to(), enabled=True, host="0.0.0.0")  # noqa: S104
    assert shut.state == "warn"
    assert "IPAddressAllow=192.168.1.0/24" in shut.mend
    opened = look(open_to("192.168.1.0/24"), enabled=True, host="0.0.0.0")  # noqa: S104
    assert opened.state == "ok"
    assert opened.seen.endswith("5, for 192.168.1.0/24")
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", "short")
    for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104
        assert "too short" in look(enabled=True, host=host).seen


def test_the_pages_packages_may_be_missing(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = check_page(WebSettings(enabled=True), Firewall(), roots.etc)
    assert (result.state, result.seen) == (
        "fail",
        "not installed: flask, h11, prometheus_client",
    )

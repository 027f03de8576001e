"""Tests of the parts of the MQTT output that need no broker."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from serenbox.outputs.mqtt_access import (
    BrokerError,
    Patience,
    address,
    connect_error,
    hung_up,
    read_password,
    tls_context,
)
from serenbox.outputs.mqtt_commands import CommandReader, parse_command
from serenbox.outputs.mqtt_confirmations import Confirmations
from serenbox.outputs.mqtt_retries import Retries
from serenbox.settings.schema import MqttSettings

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = MqttSettings(host="broker.lan", port=1884)


@pytest.mark.parametrize(
    ("payload", "command"),
    [
        (b"pause", "pause"),
        (b"resume", "resume"),
        (b"  Pause\r\n", "pause"),
        (b"RESUME", "resume"),
        (b"pause" + b" " * 59, "pause"),
        (b"pause" + b" " * 60, None),
        (b"", None),
        (b"pause resume", None),
        (b"pause\0", None),
        (b'"pause"', None),
        ("pau\u017fe".encode(), None),
        (b"\xff\xfe", None),
    ],
)
def test_commands(payload: bytes, command: str | None) -> None:
    assert parse_command(payload) == command


def test_what_is_no_command_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    reader = CommandReader(heard.append)
    for payload in (b"start\x1b[31m\xff" + b"x" * 100_000, b"pause", b""):
        reader.receive(payload, retained=False)
    reader.receive(b"pause", retained=True)
    assert heard == ["pause"]
    assert reader.ignored == 3
    assert len(caplog.records) == 1
    assert "\x1b" not in caplog.text
    assert r"\xff" in caplog.text, "what could not be read is shown"
    assert len(caplog.text) < 300


def test_pauses_grow_and_start_afresh() -> None:
    retries = Retries(Patience())
    pauses = [retries.next_pause("unreachable") for _ in range(7)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    retries.held_for(4.9)
    assert retries.next_pause("unreachable") == 30
    retries.held_for(5.0)
    assert retries.next_pause("unreachable") == 1
    assert retries.next_pause("refused") == 30


def test_news_is_told_once_per_incident() -> None:
    retries = Retries(Patience())
    assert [retries.is_news("unreachable") for _ in range(3)] == [True, False, False]
    assert retries.is_news("refused")
    # A box of the same name holds the connection for as long as this one pauses.
    retries.held_for(2 * Patience().longest_pause)
    assert not retries.is_news("unreachable")
    retries.held_for(90.0)
    assert retries.is_news("unreachable")


def test_a_connection_is_told_once_after_each_trouble_that_was_told() -> None:
    retries = Retries(Patience())
    assert [retries.connected_is_news() for _ in range(2)] == [True, False]
    assert retries.is_news("unreachable")
    assert [retries.connected_is_news() for _ in range(2)] == [True, False]
    retries.held_for(30.0)
    assert not retries.is_news("unreachable")
    assert not retries.connected_is_news()
    retries.held_for(90.0)
    assert retries.connected_is_news()


def test_connections_that_keep_breaking_are_suspicious() -> None:
    retries = Retries(Patience())
    for _ in range(3):
        assert not retries.suspicious
        retries.held_for(0.1)
    assert retries.suspicious
    retries.held_for(30.0)
    assert not retries.suspicious


def test_a_broker_that_confirms_nothing_is_told_once_and_tried_less_and_less_often() -> None:
    retries = Retries(Patience())
    assert retries.is_news("unconfirmed")
    for pause in (1, 2, 4, 8):
        assert retries.next_pause("unconfirmed") == pause
        retries.fell_silent(0.1)
        assert not retries.is_news("unconfirmed")
    assert not retries.suspicious
    retries.fell_silent(90.0)
    assert retries.is_news("unconfirmed")
    assert retries.next_pause("unconfirmed") == 1


def test_a_broker_that_confirms_slowly_but_steadily_is_not_silent() -> None:
    now = 0.0
    confirmations = Confirmations(lambda: now)
    for number in range(8):
        confirmations.sent(number, event=True)
    for number in range(8):
        now += 20.0
        assert confirmations.silent_for(now) == 20.0
        confirmations.came(number, denied=number == 7)
    now += 600.0
    assert confirmations.silent_for(now) == 0.0, "nothing waits"
    confirmations.sent(8, event=True)
    assert confirmations.silent_for(now) == 0.0, "it waits since now"
    assert (confirmations.confirmed, confirmations.undelivered_events) == (7, 2)


def test_a_broker_that_is_gone_after_short_connections_is_not_suspicious() -> None:
    retries = Retries(Patience())
    for _ in range(3):
        retries.held_for(0.1)
    retries.not_connected()
    assert not retries.suspicious


def test_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("SERENBOX_MQTT_PASSWORD", raising=False)
    assert read_password() is None
    monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "")
    assert read_password() is None
    monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "from outside")
    assert read_password() == "from outside"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password() == "from outside"
    file = tmp_path / "mqtt-password"
    for text, password in [("a b \n", "a b "), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", None)]:
        file.write_bytes(text.encode())
        assert read_password() == password


def test_a_credential_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt-password").write_bytes(b"secret\xff")
    with pytest.raises(BrokerError, match="not UTF-8 text") as raised:
        read_password()
    assert "secret" not in str(raised.value)
    (tmp_path / "mqtt-password").unlink()
    (tmp_path / "mqtt-password").mkdir()
    with pytest.raises(BrokerError, match="Is a directory"):
        read_password()


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="No such file"):
        tls_context(MqttSettings(ca_file=str(tmp_path / "none.pem")))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(BrokerError, match=r"bad\.pem cannot be used"):
        tls_context(MqttSettings(ca_file=str(tmp_path / "bad.pem")))
    assert tls_context(MqttSettings()).check_hostname


@pytest.mark.parametrize(
    ("error", "fault", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "unreachable", "Connection refused"),
        (TimeoutError("timed out"), "unreachable", "timed out"),
        (socket.gaierror(-2, "Name or service not known"), "unreachable", "no such name"),
        (UnicodeError("label empty or too long"), "unreachable", "no such name"),
        (PermissionError(1, "Operation not permitted"), "unreachable", "confined to this machine"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "tls", "is not trusted"),
        (ssl.SSLError(1, "wrong version number"), "tls", "speaks no TLS"),
        (OSError(), "unreachable", "OSError"),
    ],
)
def test_every_failure_has_a_sentence(error: Exception, fault: str, words: str) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_code, error.verify_message = 18, "self-signed certificate"
    said = connect_error(error, SETTINGS)
    assert said.fault == fault
    assert words in str(said)
    assert "broker.lan:1884" in str(said)


@pytest.mark.parametrize(
    ("code", "said"), [(9, "certificate is not yet valid"), (10, "certificate has expired")]
)
def test_a_certificate_of_another_time_is_blamed_on_the_clock(code: int, said: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, said
    assert f"({said}): see with `timedatectl`" in str(connect_error(error, SETTINGS))


def test_a_certificate_of_another_form_is_not_said_to_be_of_another_authority() -> None:
    """Python 3.13 refuses what earlier ones took."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = 92
    error.verify_message = "CA cert does not include key usage extension"
    said = str(connect_error(error, SETTINGS))
    assert "(CA cert does not include key usage extension): make it, or that of its auth" in said
    assert "mqtt.ca_file" not in said


def test_only_who_does_not_use_tls_is_told_to_do_so() -> None:
    assert "mqtt.tls" in str(hung_up(SETTINGS))
    said = str(hung_up(replace(SETTINGS, tls=True)))
    assert "asks for no client certificate" in said
    assert "mqtt.tls" not in said


def test_addresses() -> None:
    assert address(SETTINGS) == "the broker at broker.lan:1884"
    assert address(MqttSettings(host="::1")) == "the broker at [::1]:1883"

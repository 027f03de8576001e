"""Tests of the MQTT output's passwords, rights and encryption, against a real Mosquitto."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.outputs.mqtt_session import Session
from tests.mosquitto import Mosquitto, make_certificates, running_mosquitto, wait_for
from tests.mqtt_output import HURRIED, OWN, event, problem, publishing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as started:
        yield started


def test_refused_credentials_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "wrong-and-secret")
    with running_mosquitto(tmp_path, users={"box": "right"}) as broker:
        with publishing(broker.port, username="box", connected=False) as output:
            assert "refuses user 'box' (Not authorized)" in problem(output)
            wait_for(lambda: broker.log.read_text().count("New connection") >= 4, "more attempts")
            assert output.health()["connected"] is False
            assert len(caplog.records) == 1
            assert "set mqtt.username and the password" in caplog.text
            monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "right")
            wait_for(lambda: output.health()["connected"], "the right password to be tried")
        assert "wrong-and-secret" not in caplog.text + str(output.health()) + repr(vars(output))


@pytest.mark.parametrize(
    ("username", "who"), [("box", "user 'box' without a password"), ("", "a client without a user")]
)
def test_a_password_that_is_not_found_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, username: str, who: str
) -> None:
    monkeypatch.delenv("SERENBOX_MQTT_PASSWORD", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with (
        running_mosquitto(tmp_path, users={"box": "right"}) as broker,
        publishing(broker.port, username=username, connected=False) as output,
    ):
        assert f"refuses {who}" in problem(output)


def test_the_password_comes_from_the_systemd_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt-password").write_text("spärlich gesät\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("SERENBOX_MQTT_PASSWORD", "not this one")
    with (
        running_mosquitto(tmp_path, users={"box": "spärlich gesät"}) as broker,
        publishing(broker.port, username="box") as output,
    ):
        assert output.health()["problem"] is None


@pytest.mark.parametrize("steady", [0.0, 60.0])
def test_what_the_access_list_forbids_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, steady: float
) -> None:
    access = [f"topic readwrite {OWN}/availability", f"topic readwrite {OWN}/mood"]
    with (
        running_mosquitto(tmp_path, access=access) as broker,
        publishing(broker.port, patience=replace(HURRIED, brief=steady, steady=steady)) as output,
    ):
        output.event(event(1))
        wait_for(lambda: "does not let SerenBox use all its" in problem(output), "the complaint")
        wait_for(lambda: broker.log.read_text().count("Denied PUBLISH") >= 2, "another denial")
    assert output.health()["dropped"] == 1
    # Mosquitto 2.0.11 hangs up with every denial, later ones do not.
    assert sum("does not let" in record.getMessage() for record in caplog.records) == 1


def test_a_denial_is_not_blamed_for_what_ends_a_connection_later(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other brokers refuse a message, but keep the connection."""
    monkeypatch.setattr(Session, "denied", property(lambda _: True))
    with publishing(broker.port) as output:
        assert "does not let SerenBox use all its" in problem(output)
        broker.restart()
        wait_for(lambda: "is gone (" in caplog.text, "the truth")
        wait_for(lambda: output.health()["connected"], "the connection")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # as below
def test_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = make_certificates(tmp_path)
    trusting: dict[str, Any] = {"tls": True, "ca_file": str(made.certificate)}
    with running_mosquitto(tmp_path, tls=made) as broker:
        with publishing(broker.port, host="localhost", **trusting) as output:
            for number in range(50):
                output.event(event(number))
            wait_for(lambda: output.health()["published"] == 52, "the confirmations")
        assert not caplog.records
        with publishing(broker.port, connected=False, **trusting) as output:
            assert "certificate of the broker at 127.0.0.1" in problem(output)  # another name
        with publishing(broker.port, connected=False, host="localhost", tls=True) as output:
            assert "is not trusted" in problem(output)
        with publishing(broker.port, connected=False) as output:
            assert "closes the connection without an answer" in problem(output)
        missing: dict[str, Any] = {"tls": True, "ca_file": str(tmp_path / "none.pem")}
        with publishing(broker.port, connected=False, **missing) as output:
            assert "mqtt.ca_file" in problem(output)


# paho-mqtt leaves a connection that it could not encrypt to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_tls_to_a_broker_without_it(broker: Mosquitto) -> None:
    with publishing(broker.port, connected=False, tls=True) as output:
        assert "set mqtt.port to its TLS port, often 8883, or mqtt.tls to false" in problem(output)
        assert output.health()["connected"] is False

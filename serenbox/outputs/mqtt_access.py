"""How to reach a broker, and plain sentences that explain why it fails."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from serenbox.addresses import host_and_port
from serenbox.errors import reason_of

if TYPE_CHECKING:
    import ssl

    from serenbox.outputs.topics import Topics
    from serenbox.settings.schema import MqttSettings

CREDENTIAL = "mqtt-password"
"""Name of the file in `$CREDENTIALS_DIRECTORY`, where systemd puts a unit's credentials."""

VARIABLE = "SERENBOX_MQTT_PASSWORD"

Fault = Literal[
    "unreachable",
    "silent",
    "unconfirmed",
    "refused",
    "denied",
    "tls",
    "protocol",
    "version",
    "taken",
    "oversized",
    "unasked",
    "setup",
    "mistake",
]
"""What keeps the box from its broker; each is logged once per incident."""

NEEDS_A_PERSON: frozenset[Fault] = frozenset(
    {"refused", "denied", "tls", "taken", "oversized", "unasked", "setup", "mistake"}
)
"""Faults that do not go away by themselves, so that frequent retries are useless."""

_CONFINED = "`sudo serenbox check` tells whether the service may reach it"
"""Added because connections blocked by the kernel look like a broker that is off: packets vanish,
names are unknown."""

_CLOCK_FAULTS = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED of OpenSSL's x509_vfy.h: mostly the clock's fault,
because a Raspberry Pi has no battery-backed one."""

_FORM_FAULTS = range(80, 95)
"""Those of `X509_V_FLAG_X509_STRICT` there, which Python sets since 3.13: the right authority does
not help, and many that `openssl req -x509` made are refused."""


class BrokerError(Exception):
    """The connection failed or was lost; the message says why and what to do."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an MQTT output waits, in seconds."""

    connect: float = 5.0
    """For the connection, and again for the broker's answer to it."""
    confirmation: float = 30.0
    """For any confirmation while messages wait for one, or three times the keepalive if longer."""
    first_pause: float = 1.0
    """Before the second attempt; doubles with each further attempt."""
    longest_pause: float = 30.0
    """The longest one between attempts; used from the start if only a person can help."""
    brief: float = 5.0
    """A connection that lasted this long resets the pauses when it breaks."""
    steady: float = 65.0
    """A connection that lasted this long ends the incident. Two boxes with the same name, which
    keep displacing each other, each stay connected for as long as the other one pauses."""


def read_password() -> str | None:
    """Return the broker's password, from the systemd credential or else the environment.

    One line break at the end is ignored. The password is read at every attempt and not kept.

    Raises:
        BrokerError: The credential exists, but cannot be read.

    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return os.environ.get(VARIABLE) or None
    path = Path(folder, CREDENTIAL)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return os.environ.get(VARIABLE) or None
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "not UTF-8 text"
    else:
        return text.removesuffix("\n").removesuffix("\r") or None
    raise BrokerError(
        "setup", f"the MQTT password in {path} cannot be read ({reason}): write that file again"
    )


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Return the TLS context that verifies the broker's certificate and name.

    Raises:
        BrokerError: `mqtt.ca_file` cannot be used.

    """
    import ssl

    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise BrokerError(
            "tls",
            f"mqtt.ca_file {settings.ca_file} cannot be used ({reason}): name a file with the "
            "certificates to trust, in PEM format, that the user serenbox may read",
        ) from error


def connect_error(error: Exception, settings: MqttSettings) -> BrokerError:
    """Return the error that explains why no connection could be made.

    Args:
        error: What paho-mqtt raised.
        settings: The broker.

    """
    import ssl

    broker = address(settings)
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerError("tls", _explain_distrust(error, broker))
    if isinstance(error, ConnectionResetError) and settings.tls:
        return BrokerError(
            "unreachable",
            f"{broker} cannot be reached ({reason_of(error)}): if that does not pass, set "
            "mqtt.port to its TLS port, often 8883, or mqtt.tls to false",
        )
    if isinstance(error, ssl.SSLError):
        detail = getattr(error, "reason", None) or error
        return BrokerError(
            "tls",
            f"{broker} speaks no TLS that works here ({detail}): set mqtt.port to "
            "its TLS port, often 8883, or mqtt.tls to false",
        )
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return BrokerError(
            "unreachable",
            f"{broker}: there is no such name in this network: check mqtt.host; {_CONFINED}",
        )
    if isinstance(error, PermissionError):
        return BrokerError(
            "unreachable",
            f"{broker} may not be reached ({error.strerror}): the service is confined to this "
            f"machine; {_CONFINED}",
        )
    reason = reason_of(error) or type(error).__name__
    return BrokerError(
        "unreachable",
        f"{broker} cannot be reached ({reason}): check mqtt.host and mqtt.port and that the broker "
        f"runs; {_CONFINED}",
    )


def _explain_distrust(error: ssl.SSLCertVerificationError, broker: str) -> str:
    reason = error.verify_message
    if error.verify_code in _CLOCK_FAULTS:
        return (
            f"the certificate of {broker} is not valid today ({reason}): see with `timedatectl` "
            "whether this machine's clock is right; if it is, renew the certificate"
        )
    if error.verify_code in _FORM_FAULTS:
        return (
            f"the certificate of {broker} is not made as Python 3.13 and later ask ({reason}): "
            "make it, or that of its authority, anew; for an authority, "
            "`openssl req -x509` needs `-addext keyUsage=critical,keyCertSign,cRLSign`"
        )
    return (
        f"the certificate of {broker} is not trusted ({reason}): set mqtt.ca_file to the authority "
        "that signed it, and mqtt.host to the name in it"
    )


def refusal(reason: str, settings: MqttSettings, *, has_password: bool) -> BrokerError:
    """Return the error for a broker that refuses the connection.

    Args:
        reason: The broker's own words.
        settings: The broker, and the user who was refused.
        has_password: Whether a password was found and sent.

    """
    who = f"user {settings.username!r}" if settings.username else "a client without a user name"
    if settings.username and not has_password:
        who += " without a password"
    return BrokerError(
        "refused",
        f"{address(settings)} refuses {who} ({reason}): set mqtt.username and the password, in the "
        f"systemd credential {CREDENTIAL} or the environment variable {VARIABLE}, then restart "
        "SerenBox",
    )


def hung_up(settings: MqttSettings) -> BrokerError:
    """Return the error for a broker that closes the connection when it is asked to accept it."""
    tls = "mqtt.tls, which a TLS port needs"
    if settings.tls:
        tls = "that it asks for no client certificate, of which SerenBox has none"
    return BrokerError(
        "protocol",
        f"{address(settings)} closes the connection without an answer: check that mqtt.port is its "
        f"MQTT port, and {tls}",
    )


def denial(settings: MqttSettings, topics: Topics) -> BrokerError:
    """Return the error for a broker that denies a message or a subscription."""
    return BrokerError(
        "denied",
        f"{address(settings)} does not let SerenBox use all its topics: allow "
        f"{settings.username or 'anonymous clients'} in its access list to write {topics.own}/# "
        f"and {topics.discovery}, and to read {topics.command} and {topics.birth}",
    )


def taken_over(settings: MqttSettings, topics: Topics) -> BrokerError:
    """Return the error for another client of the same name that displaces this one, or seems to."""
    return BrokerError(
        "taken",
        f"{address(settings)} keeps closing the connection, as it does when another client has the "
        f"name {topics.client}: give every box its own device.name",
    )


def unconfirmed(settings: MqttSettings, seconds: float) -> BrokerError:
    """Return the error for a broker that keeps the connection, but takes no message any more.

    Args:
        settings: The broker.
        seconds: For how long it has confirmed nothing.

    """
    return BrokerError(
        "unconfirmed",
        f"{address(settings)} answers, but confirms no message for {seconds:.0f} seconds now: "
        "restart it; if that does not help, see its log, for instance for a full disk",
    )


def oversized(settings: MqttSettings, topics: Topics, size: int) -> BrokerError:
    """Return the error for an incoming message so long that it must be malicious."""
    return BrokerError(
        "oversized",
        f"{address(settings)} sends a message of {size:,} bytes, far more than any command has: "
        f"see who may publish to {topics.command} and {topics.birth}, and remove what is retained "
        "there",
    )


def unasked(settings: MqttSettings) -> BrokerError:
    """Return the error for messages with QoS 2, which no broker sends to who asked for QoS 1."""
    return BrokerError(
        "unasked",
        f"{address(settings)} sends messages with QoS 2, which SerenBox never subscribes to: check "
        "mqtt.host and mqtt.port, update the broker, and let it add no subscription of its own",
    )


def address(settings: MqttSettings) -> str:
    """Return `the broker at HOST:PORT`."""
    return f"the broker at {host_and_port(settings.host, settings.port)}"

"""One table of the rules for settings that a type and a range cannot express."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from serenbox.addresses import has_clear_login, has_host, is_ip_address
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from serenbox.settings.schema import Settings

STREAM_SCHEMES = ("http", "https", "rtsp", "rtsps")
"""What the address of a network camera may begin with."""

_TOPIC = "parts of a topic: no +, #, $ or blank, and no / at either end"


class Rule(NamedTuple):
    """Something that must hold.

    Attributes:
        keys: The settings it looks at; the first is the one to change if the rule does not hold.
        holds: Returns whether it holds.
        wanted: What the first setting must be, in words that follow `must be`.

    """

    keys: tuple[str, ...]
    holds: Callable[[Settings], bool]
    wanted: str


class ArrayRule(NamedTuple):
    """Something that must hold for each table of an array.

    Attributes:
        key: The setting to change if the rule does not hold.
        holds: Returns whether it holds.
        wanted: What the setting must do, in words that follow `must`.

    """

    key: str
    holds: Callable[[Any], bool]
    wanted: str


def _is_topic(text: str) -> bool:
    return bool(re.fullmatch(r"[^+#$\s/]+(/[^+#$\s/]+)*", text)) and len(text) <= 200


def _is_source(text: str) -> bool:
    kind, colon, rest = text.partition(":")
    if colon and rest.startswith("//"):
        return kind.lower() in STREAM_SCHEMES
    if colon and kind == "pi":
        return rest.isascii() and rest.isdigit()
    return bool(text.strip()) and not (colon and kind in {"auto", "usb"})


def _is_stream(text: str) -> bool:
    return text.partition("://")[0].lower() in STREAM_SCHEMES and "://" in text


def _is_name(text: str) -> bool:
    """Return whether a browser could send a text as the name of a site.

    An address would have no effect: whether the page goes by it depends on `web.host` alone.
    """
    return text.isascii() and not re.search("[:/,]", text) and not is_ip_address(text)


def _is_host(text: str) -> bool:
    if not re.fullmatch(r"[^\s/@]+", text):
        return False
    if ":" in text:  # of an IPv6 address: a port or brackets do not belong here
        return is_ip_address(text)
    labels = text.removesuffix(".").split(".")
    return all(0 < len(label) < 64 for label in labels)  # RFC 1035, section 2.3.4


def _largest_lead(floor: float) -> float:
    """Return the difference of the highest and the lowest smoothed score of a face."""
    return (1 - floor) / (1 + (len(EMOTIONS) - 1) * floor)


RULES = (
    Rule(
        ("device.name",),
        lambda settings: bool(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", settings.device.name)),
        "1 to 64 of the letters a to z and A to Z, digits, - and _",
    ),
    Rule(
        ("camera.source",),
        lambda settings: _is_source(settings.camera.source),
        "auto, pi (or pi:1), usb, or the name of a device, file, folder or address",
    ),
    Rule(
        ("camera.source",),
        lambda settings: has_clear_login(settings.camera.source),
        "an address without blanks, whose user and password hold no /, ? or #: write %20, %2F, "
        "%3F and %23 for them",
    ),
    Rule(
        ("camera.source",),
        lambda settings: not _is_stream(settings.camera.source) or has_host(settings.camera.source),
        "an address with a host, such as rtsp://camera.local/live",
    ),
    Rule(
        ("mqtt.host",),
        lambda settings: _is_host(settings.mqtt.host),
        "a name or an address alone, such as localhost or ::1; the port goes to mqtt.port",
    ),
    Rule(
        ("mood.margin", "mood.floor"),
        lambda settings: settings.mood.margin < _largest_lead(settings.mood.floor),
        "less than (1 - floor) / (1 + 6 * floor), the most by which an emotion can lead: otherwise "
        "none ever replaces another",
    ),
    Rule(
        ("web.host",),
        lambda settings: _is_host(settings.web.host),
        "an address of this machine, such as 127.0.0.1 or ::1; the port goes to web.port",
    ),
    Rule(
        ("web.names",),
        lambda settings: all(map(_is_name, settings.web.names.split())),
        "names separated by blanks, such as mood.home: no address, no port, no http:// and no "
        "commas, and those of other scripts as xn--…",
    ),
    Rule(("mqtt.prefix",), lambda settings: _is_topic(settings.mqtt.prefix), _TOPIC),
    Rule(
        ("mqtt.discovery_prefix",),
        lambda settings: _is_topic(settings.mqtt.discovery_prefix),
        _TOPIC,
    ),
    Rule(
        ("mqtt.ca_file", "mqtt.tls"),
        lambda settings: settings.mqtt.tls or not settings.mqtt.ca_file,
        "empty if mqtt.tls is false: the connection would not be encrypted; set tls = true",
    ),
    Rule(
        ("diffuser.enabled", "mqtt.enabled"),
        lambda settings: settings.mqtt.enabled or not settings.diffuser.enabled,
        "false if mqtt.enabled is false: the diffuser is controlled over MQTT; "
        "set mqtt.enabled to true",
    ),
)
"""Every rule. Files that settings name are checked where they are used."""

ARRAY_RULES = {
    "hooks": (
        ArrayRule(
            "command",
            lambda hook: bool(hook.command[0].strip()),
            "begin with the name of a program",
        ),
    ),
}
"""Every rule about the tables of an array, by the name of the array."""

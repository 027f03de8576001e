"""The origins whose pages may use the server, written as browsers send them."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9._-]+")
_GENERAL = "must be origins such as https://example.org, separated by commas"
_AMBIGUOUS = "ßς\u200c\u200d"
"""Letters that browsers and Python's IDNA encode differently."""


def read_origins(text: str) -> tuple[str, ...]:
    """Read origins separated by commas.

    Browsers send an origin with scheme and host in lower case and without a default port, and the
    server compares it letter for letter, so the origins are brought into this form.

    Raises:
        ValueError: A part is no origin; the message says what it must be.

    """
    parts = (part.strip() for part in text.split(","))
    return tuple(part if part == "*" else _origin(part) for part in parts if part)


def _origin(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # brackets without an IPv6 address, or no number from 0 to 65535
        raise ValueError(_GENERAL) from None
    host = parts.hostname
    if not parts.scheme or not host:
        raise ValueError(_GENERAL)
    address = _address(parts, host)
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        address += f":{port}"
    if "@" in parts.netloc:
        raise ValueError(f"must be origins without a user: {address}")
    if text.lower() != f"{parts.scheme}://{parts.netloc.lower()}":
        raise ValueError(f"must be origins without a path: {address}")
    return address


def _address(parts: SplitResult, host: str) -> str:
    """Return scheme and host as browsers send them.

    Raises:
        ValueError: The host is none that they send.

    """
    if "*" in host:
        raise ValueError("must be whole origins such as https://www.example.org, or * for any")
    if not host.isascii():
        raise ValueError(f"must be origins in ASCII letters: {parts.scheme}://{_in_ascii(host)}")
    if ":" in host:
        try:
            return f"{parts.scheme}://[{IPv6Address(host)}]"
        except ValueError:
            raise ValueError(_GENERAL) from None
    if not _HOST.fullmatch(host):
        raise ValueError(_GENERAL)
    return f"{parts.scheme}://{host}"


def _in_ascii(host: str) -> str:
    try:
        if not any(letter in host for letter in _AMBIGUOUS):
            return host.encode("idna").decode("ascii")
    except UnicodeError:
        pass
    return "xn--..."

"""Network addresses: formatting them, checking them and hiding their secrets."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LOGIN = r"(?<=://)([^/?#@:]*):[^/?#]*@"
_UNCLEAR_LOGIN = r"(?<=://)([^/?#@:]*):.*@"  # up to the last @: a password may hold any character
_VALUE = r"(?<==)[^&/?#;]+"  # some cameras expect the login in the path
_VALUE_OF_QUERY = r"(?<==)[^&]+"  # or in the query
_ADDRESS = r"\S*://.*?(?=\s+\S*://|$)"
"""What looks like an address, up to the next one or the end: a password may hold whitespace."""


def host_and_port(host: str, port: int) -> str:
    """Return `HOST:PORT`, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def site(address: str) -> str:
    """Return only the scheme, host and port of an address: the rest may be secret.

    No part of a password is returned, even if it holds characters that end a host.
    """
    scheme, _, rest = address.partition("://")
    if not has_clear_login(address):
        rest = rest.rpartition("@")[2]
    return f"{scheme}://{_up_to_path(rest).rpartition('@')[2]}"


def without_passwords(text: str) -> str:
    """Return the text with anything in its addresses that may be a password replaced by stars.

    That is what stands between `:` and `@`, as in `rtsp://user:password@host`, and what follows a
    `=`. Other text is returned unchanged.
    """
    return re.sub(_ADDRESS, _starred, text, flags=re.DOTALL)


def has_clear_login(address: str) -> bool:
    """Return whether all parsers agree where the user and password of an address, if any, end.

    A `/`, `?` or `#` in them seems to end the host; whitespace ends the whole address.
    """
    rest = address.partition("://")[2]
    if re.search(r"\s", rest):
        return False
    authority = _up_to_path(rest)
    if "@" in authority or "@" not in rest:
        return True
    return bool(re.fullmatch(r"[^:]*(:\d*)?|\[.*\](:\d*)?", authority))


def _up_to_path(text: str) -> str:
    return re.split(r"[/?#]", text, maxsplit=1)[0]


def _starred(found: re.Match[str]) -> str:
    login = _LOGIN if has_clear_login(found[0]) else _UNCLEAR_LOGIN
    path, mark, query = re.sub(login, r"\1:***@", found[0]).partition("?")
    return re.sub(_VALUE, "***", path) + mark + re.sub(_VALUE_OF_QUERY, "***", query)


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address, without brackets or port, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to that name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def has_host(address: str) -> bool:
    """Return whether an address names a host and, if any, a port from 1 to 65535."""
    try:
        parts = urlsplit(site(address))
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, or an invalid port
        return False

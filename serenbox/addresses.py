"""How places in a network are written."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LOGIN = r"(?<=://)([^/?#@:]*):[^/?#]*@"
_UNCLEAR_LOGIN = r"(?<=://)([^/?#@:]*):.*@"  # up to the last @: a password may hold anything
_VALUE = r"(?<==)[^&/?#;]+"  # some cameras take the login in the path
_VALUE_OF_QUERY = r"(?<==)[^&]+"  # or behind it
_ADDRESS = r"\S*://.*?(?=\s+\S*://|$)"
"""From where an address seems to begin to the next one or the end: a password may hold blanks."""


def host_and_port(host: str, port: int) -> str:
    """Return `HOST:PORT`, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def site(address: str) -> str:
    """Return scheme, host and port of an address alone: all the rest of it may be secret.

    Where a password holds characters that end a host, this is still nothing of it.
    """
    scheme, _, rest = address.partition("://")
    if not has_clear_login(address):
        rest = rest.rpartition("@")[2]
    return f"{scheme}://{_up_to_path(rest).rpartition('@')[2]}"


def without_passwords(text: str) -> str:
    """Return the text with stars for what may be a password in its addresses.

    That is what stands between `:` and `@`, as in `rtsp://user:password@host`, and what follows a
    `=`. Of anything else, the text itself.
    """
    return re.sub(_ADDRESS, _starred, text, flags=re.DOTALL)


def has_clear_login(address: str) -> bool:
    """Tell whether user and password of an address, if it has them, end where all readers think.

    With `/`, `?` or `#` in them, the host seems to end there; a blank ends the whole address.
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


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can connect to that name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def has_host(address: str) -> bool:
    """Tell whether an address names a host, and a port from 1 to 65535 if any."""
    try:
        parts = urlsplit(site(address))
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that hold no IPv6 address, or no such port
        return False

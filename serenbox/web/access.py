"""Who may use the web page. Pure except for reading the token and the machine's name."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.addresses import is_loopback
from serenbox.errors import SettingsError

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from serenbox.settings.schema import WebSettings

CREDENTIAL = "web-token"
"""Name of the file in `$CREDENTIALS_DIRECTORY`, where systemd puts a unit's credentials."""

VARIABLE = "SERENBOX_WEB_TOKEN"

_PASSED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
"""Headers that proxies add."""

_SHORTEST = 16
"""Minimum characters of a token: guesses are not slowed down, so they must be hopeless."""

_REMEDY = (
    f"put one of {_SHORTEST} or more letters and digits (`openssl rand -hex 16` makes one) into "
    f"the systemd credential {CREDENTIAL} or the environment variable {VARIABLE} and restart the "
    "service"
)


def read_token() -> str | None:
    """Return the token, from the systemd credential or else the environment; None without one.

    Blanks and line breaks around it are ignored.

    Raises:
        SettingsError: It cannot be read, is too short, or has characters that no header can hold.

    """
    token = _stored_token()
    if token is None:
        return None
    if len(token) < _SHORTEST or not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingsError(
            f"the web page's token is too short or has invalid characters: {_REMEDY}"
        )
    return token


def _stored_token() -> str | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        path = Path(folder, CREDENTIAL)
        try:
            return path.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise SettingsError(
                f"the web page's token in {path} cannot be read ({reason}): write that file again"
            ) from error
    return os.environ.get(VARIABLE, "").strip() or None


@dataclass(frozen=True, slots=True)
class Access:
    """Decides who may use the page.

    Attributes:
        token: What a visitor must know; None admits everybody who can connect.
        names: Host names, in lower case, that the page may be requested by, besides IP addresses.
        addresses: Whether it may be requested by IP addresses other than loopback ones.

    """

    token: str | None
    names: frozenset[str]
    addresses: bool

    @classmethod
    def of(cls, settings: WebSettings) -> Access:
        """Return the access that the settings ask for.

        Raises:
            SettingsError: The token is invalid, or the page would be open to others without one.

        """
        token, loopback = read_token(), is_loopback(settings.host)
        if token is None and not loopback:
            raise SettingsError(
                f"web.host is {settings.host!r}, so others could open the page, and there is "
                f"no token: {_REMEDY}, or set web.host to 127.0.0.1"
            )
        names = {"localhost", *settings.names.lower().split()}
        if not loopback:
            own = socket.gethostname().lower()
            names |= {own, f"{own}.local"}
        return cls(token, frozenset(names), addresses=not loopback)

    def knows_host(self, header: str | None) -> bool:
        """Return whether a request is addressed to this box.

        Another site can point its own name to this address (DNS rebinding), but its requests still
        carry that name. A request to a bare IP address cannot be one of them.
        """
        name = _host_name(header or "")
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return address.is_loopback or self.addresses

    def knows_token(self, authorization: str | None, cookie: str | None) -> bool:
        """Return whether the visitor has shown the token, in a header or when logging in."""
        if self.token is None:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given):
            return True
        return hmac.compare_digest((cookie or "").encode(), self.session.encode())

    def is_token(self, given: str) -> bool:
        """Return whether that is the token; compares in constant time."""
        return self.token is not None and hmac.compare_digest(
            given.strip().encode(), self.token.encode()
        )

    def may_watch(self, address: str | None, headers: Headers) -> bool:
        """Return whether a visitor who may use the page may also watch the camera.

        If there is a token, everybody who may use the page may watch. Otherwise only who sits at
        this machine may. A proxy on it may forward requests of others, so one that came through a
        proxy, or by another name, is refused.

        Args:
            address: Where the request comes from.
            headers: Of the request.

        """
        if self.token is not None:
            return True
        if any(name in headers for name in _PASSED_ON):
            return False
        return is_loopback(address or "") and is_loopback(_host_name(headers.get("Host", "")))

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds `session`.

        Cookies ignore ports: two boxes that are reached as localhost, each through a tunnel, need
        different names.
        """
        return f"serenbox_{self.session[:8]}"

    @property
    def session(self) -> str:
        """The content of the cookie of a visitor who has shown the token; not the token itself."""
        return hmac.new((self.token or "").encode(), b"serenbox page", hashlib.sha256).hexdigest()


def same_site(headers: Headers, *, method: str) -> bool:
    """Return whether no other site is behind a request.

    Browsers say so in `Sec-Fetch-Site`; old ones, and those that connect without encryption, only
    in `Origin`. Following a link to the page is allowed. Programs other than browsers send neither.

    Args:
        headers: Of the request; case does not matter.
        method: Of the request, in upper case.

    """
    site = headers.get("Sec-Fetch-Site")
    if site not in {None, "same-origin", "none"}:
        visit = headers.get("Sec-Fetch-Mode") == "navigate" and method == "GET"
        return visit and headers.get("Sec-Fetch-Dest") == "document"
    origin = headers.get("Origin")
    if origin is None:
        return True
    host = headers.get("Host", "").lower()
    return origin.lower() in {f"http://{host}", f"https://{host}"}


def _host_name(header: str) -> str:
    """Return the name or address of a `Host` header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0].lower() if ":" in header else header.lower()

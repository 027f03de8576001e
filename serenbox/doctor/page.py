"""Check of the web page: whether it can be opened, and by whom."""

from __future__ import annotations

import importlib.util
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from serenbox.addresses import is_loopback
from serenbox.doctor.mending import install_again
from serenbox.doctor.result import Result
from serenbox.doctor.systemd import DROP_INS, UNIT, command_that_adds
from serenbox.errors import SettingsError
from serenbox.system_text import text_of
from serenbox.web.access import CREDENTIAL, VARIABLE, read_token
from serenbox.web.output import PACKAGES

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.doctor.firewall import Firewall
    from serenbox.settings.schema import WebSettings

_NAME = "page"
_TOKEN_FILE = f"/etc/serenbox/{CREDENTIAL}"
_MAKE_TOKEN = (
    "token=$(openssl rand -hex 16) && echo $token "
    f"| sudo install -m 600 /dev/stdin {_TOKEN_FILE} && "
    + command_that_adds(f"LoadCredential={CREDENTIAL}:{_TOKEN_FILE}", CREDENTIAL)
)
_NAMES_TOKEN = re.compile(
    rf"\s*(?:(?:Load|Set)Credential(?:Encrypted)?\s*=\s*{CREDENTIAL}(?::|\s*$)"
    rf"|Environment\s*=.*{VARIABLE}=)"
)
_IMPORTS = re.compile(r"\s*ImportCredential\s*=\s*([^:\s]+)(?::(\S+))?")
"""What is imported and, if it is renamed, the new name or what new names begin with."""
_NAMES_FILE = re.compile(r"\s*EnvironmentFile\s*=\s*-?(/.*)")
_SETS_TOKEN = re.compile(rf"^\s*{VARIABLE}\s*=\s*\S", re.MULTILINE)


def check_page(settings: WebSettings, firewall: Firewall, etc: Path) -> Result:
    """Check that the page's packages are there and its token is right and, if need be, there.

    Args:
        settings: Where the page is, and whether it is used at all.
        firewall: What the service may reach.
        etc: The folder `/etc`, in which systemd keeps what was added to the unit.

    """
    if not settings.enabled:
        return Result(_NAME, "ok", "not used: web.enabled is false")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        seen = f"not installed: {', '.join(missing)}"
        return Result(_NAME, "fail", seen, install_again("web"))
    place = f"{settings.host}, port {settings.port}"
    try:
        token = read_token() is not None or _unit_has_token(etc)
    except SettingsError as error:  # wherever the page is
        return Result(_NAME, "fail", str(error), _MAKE_TOKEN)
    if is_loopback(settings.host):
        return Result(_NAME, "ok", f"for this machine only: {place}")
    if not token:
        seen = f"{place}: others could open it, and there is no token"
        return Result(_NAME, "fail", seen, _MAKE_TOKEN)
    others = [str(network) for network in firewall.allowed if not network.is_loopback]
    if firewall.denied and not others:
        seen = f"{place}: {UNIT} lets no other machine in"
        mend = command_that_adds("IPAddressAllow=192.168.1.0/24", "web-network")
        return Result(_NAME, "warn", f"{seen}; if its network is 192.168.1.0/24", mend)
    whom = f", for {' and '.join(others)}" if firewall.denied else ""
    return Result(_NAME, "ok", f"with a token: {place}{whom}")


def _unit_has_token(etc: Path) -> bool:
    additions = (etc / DROP_INS.removeprefix("/etc/")).glob("*.conf")
    lines = (line for addition in additions for line in text_of(addition).splitlines())
    return any(_gives_token(line, etc) for line in lines)


def _gives_token(line: str, etc: Path) -> bool:
    """Return whether a line of the unit gives it the token, as far as can be seen."""
    if found := _IMPORTS.match(line):
        pattern, renamed = found.groups()
        return CREDENTIAL.startswith(renamed) if renamed else fnmatchcase(CREDENTIAL, pattern)
    if found := _NAMES_FILE.match(line):
        return _may_set_token(etc / found[1].strip().removeprefix("/etc/"))
    return _NAMES_TOKEN.match(line) is not None


def _may_set_token(path: Path) -> bool:
    try:
        return _SETS_TOKEN.search(path.read_text("utf-8", "replace")) is not None
    except PermissionError:  # as it should be: only root may read it
        return True
    except OSError:
        return False

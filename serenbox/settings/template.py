"""The configuration as a commented TOML file."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from serenbox.addresses import without_passwords
from serenbox.settings.known import KnownSetting, arrays, describe, tables
from serenbox.settings.values import as_toml

if TYPE_CHECKING:
    from serenbox.settings.loader import SettingsFile

_HEAD = """\
The configuration of SerenBox. Every setting is optional: each is shown with its default, and the \
# before it makes it a comment. Take the # away to change one. `serenbox config --check` checks \
them for mistakes, and `systemctl reload serenbox` makes the service read them again.
"""


def render_settings() -> str:
    """Return the default configuration: TOML in which each setting is explained and commented out.

    Text has a space after its `#`; a setting has none, so that removing the `#` is enough.
    """
    parts = [_comment(_HEAD)]
    for table, settings_class in tables().items():
        parts.append(f"\n{_comment(settings_class.__doc__ or '')}[{table}]\n")
        parts += [f"\n{_explained(known)}" for known in describe(settings_class)]
    for table, settings_class in arrays().items():
        parts.append(f"\n{_comment(settings_class.__doc__ or '')}#[[{table}]]\n")
        parts += [f"\n{_explained(known)}" for known in describe(settings_class)]
    return "".join(parts)


def render_effective(file: SettingsFile) -> str:
    """Return every setting as TOML with its origin; passwords in addresses are hidden."""
    origin = f"from {as_toml(str(file.path))}" if file.path else "no file: all defaults"
    parts = [f"# {origin}\n"]
    for table, settings_class in tables().items():
        parts.append(f"\n[{table}]\n")
        parts += _effective(file, table, settings_class, getattr(file.settings, table))
    for table, settings_class in arrays().items():
        for number, entry in enumerate(getattr(file.settings, table)):
            parts.append(f"\n[[{table}]]\n")
            parts += _effective(file, f"{table}.{number}", settings_class, entry)
    return "".join(parts)


def _effective(file: SettingsFile, table: str, settings_class: type, values: object) -> list[str]:
    parts = []
    for known in describe(settings_class):
        shown = as_toml(_without_passwords(getattr(values, known.key)))
        line = file.lines.get(f"{table}.{known.key}")
        source = f"line {line}" if line else "default"
        parts.append(f"{f'{known.key} = {shown}':<40} # {source}\n")
    return parts


def _without_passwords(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_without_passwords, value))
    return without_passwords(value) if isinstance(value, str) else value


def _explained(known: KnownSetting) -> str:
    limits = f" ({known.limits})" if known.limits else ""
    return f"{_comment(known.doc + limits)}#{known.key} = {as_toml(known.default)}\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(" ".join(text.split()), 86))

"""Reads a configuration file and reports all problems in it at once, with their lines."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from serenbox.errors import SettingsError, reason_of
from serenbox.settings.check import Findings, check_document, check_rules, check_value
from serenbox.settings.lines import key_lines
from serenbox.settings.schema import Settings
from serenbox.settings.values import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_FILE = Path("/etc/serenbox/serenbox.toml")
"""The configuration of the service."""

MAX_BYTES = 256 * 1024
"""The largest file that is read; the commented default has about 7 KiB."""

_WHERE_IN_TOML = r"(?P<reason>.*) \((?:at line (?P<line>\d+)|at end of document).*\)"
_HOW_TOML_LOOKS = 'write KEY = VALUE, with text in "quotes" and true or false in small letters'


class SettingsFile(NamedTuple):
    """What a configuration file says.

    Attributes:
        settings: The settings, with defaults for those that the file leaves out.
        path: The file; None if there is none.
        lines: The line of each setting that the file gives, by its name such as `camera.width`, or
            `hooks.0.command` in the first table of an array.

    """

    settings: Settings = Settings()
    path: Path | None = None
    lines: Mapping[str, int] = MappingProxyType({})


def user_file() -> Path:
    """Return the path of a user's own configuration, whether or not it exists."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not folder.is_absolute():  # the XDG specification says to ignore relative paths
        folder = Path(os.path.expanduser("~"), ".config")  # noqa: PTH111 - never raises
    return folder / "serenbox" / "serenbox.toml"


def find_settings_file(explicit: Path | None = None, *, own: bool = True) -> Path | None:
    """Return the file to read: the one named, else the system's, else the user's.

    Args:
        explicit: The file that the user named; it is returned whether or not it exists.
        own: Whether to consider the user's own file; false when asking on behalf of the service.

    Returns:
        The file; None if there is none and the defaults apply. A file that exists but cannot be
        read is returned, too, so that nobody runs on defaults without knowing.

    """
    if explicit is not None:
        return explicit
    candidates = (SYSTEM_FILE, user_file()) if own else (SYSTEM_FILE,)
    return next((path for path in candidates if _is_there(path)), None)


def load_settings(path: Path | None) -> Settings:
    """Read a configuration file.

    Args:
        path: The file; None for the defaults.

    Raises:
        SettingsError: The file cannot be read, is not TOML, or holds something unknown or
            impossible. Its `problems` has one sentence for each, with file, line and key.

    """
    return read_settings(path).settings


def read_settings(path: Path | None) -> SettingsFile:
    """Read a configuration file and the line of each setting that it gives.

    Args and errors are those of `load_settings`.
    """
    if path is None:
        return SettingsFile()
    text = _read_text(path)
    document = _parse(text, path)
    lines = key_lines(text)
    findings = check_document(document)
    settings = _with_values(Settings(), findings.values)
    settings = dataclasses.replace(settings, **cast("Any", findings.entries))
    check_rules(settings, findings)
    if findings.problems:
        found = sorted((lines[key], problem) for key, problem in findings.problems)
        raise SettingsError(*(f"{_place(path, line)}: {problem}" for line, problem in found))
    given = {".".join(map(str, key)): lines[key] for key in findings.given}
    return SettingsFile(settings, path, given)


def with_overrides(settings: Settings, overrides: Mapping[str, object]) -> Settings:
    """Return the settings with some of them overridden, for command-line options.

    Args:
        settings: What to start from; it is not changed.
        overrides: Values by their setting's name, such as `camera.width`; None leaves the setting
            as it is.

    Raises:
        SettingsError: A name is unknown or a value impossible.

    """
    findings = Findings()
    for name, value in overrides.items():
        table, _, key = name.partition(".")
        if value is not None:
            check_value(table, key, value, findings)
    changed = _with_values(settings, findings.values)
    check_rules(changed, findings)
    if findings.problems:
        raise SettingsError(*(text for _, text in findings.problems))
    return changed


def _with_values(settings: Settings, values: Mapping[tuple[str, str], object]) -> Settings:
    changes: dict[str, dict[str, Any]] = {}
    for (table, key), value in values.items():
        changes.setdefault(table, {})[key] = value
    changed: dict[str, Any] = {
        table: dataclasses.replace(getattr(settings, table), **keys)
        for table, keys in changes.items()
    }
    return dataclasses.replace(settings, **changed)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise SettingsError(f"{path}: it is a folder: name a file in it") from error
    except FileNotFoundError as error:
        import shlex  # seldom needed

        raise SettingsError(
            f"{path}: there is no such file: make one with "
            f"`serenbox config > {shlex.quote(str(path))}`"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name that holds a null character
        reason = reason_of(error)
        raise SettingsError(
            f"{path}: it cannot be read ({reason}): check its name and its permissions"
        ) from error
    if len(content) > MAX_BYTES:
        raise SettingsError(
            f"{path}: it is larger than {MAX_BYTES // 1024} KiB, so it is not a configuration: "
            "name the right file"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"{_place(path, line)}: there is something that is not UTF-8: save the file as UTF-8"
        ) from error


def _parse(text: str, path: Path) -> dict[str, Any]:
    if not text.strip():
        return {}
    import tomllib  # imported here: a box without a configuration starts faster

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(_WHERE_IN_TOML, str(error))
        reason = found["reason"] if found else str(error)
        line = int(found["line"] or text.rstrip().count("\n") + 1) if found else None
        if (first := _first_of(reason, text, line)) is not None:
            table, earlier = first
            raise SettingsError(
                f"{_place(path, line)}: [{table}] is already on line {earlier}: put its "
                "settings there"
            ) from error
        twice = reason.startswith("Cannot") and not reason.startswith("Cannot mutate")
        hint = "name each key and each [table] only once" if twice else _HOW_TOML_LOOKS
        raise SettingsError(
            f"{_place(path, line)}: this is not TOML ({shortened(reason)}): {hint}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number or a depth beyond Python's limits
        raise SettingsError(
            f"{path}: a number is too long or arrays are nested too deep: take it out"
        ) from error


def _first_of(reason: str, text: str, line: int | None) -> tuple[str, int] | None:
    """Return the table that tomllib finds twice, and the line on which it first appears."""
    found = re.fullmatch(r"Cannot declare \('(\w+)',\) twice", reason)
    if found is None:
        return None
    lines = text.splitlines()[: line and line - 1]
    header = re.compile(rf"\s*\[\s*{found[1]}\s*\]")
    at = (number for number, each in enumerate(lines, 1) if header.match(each))
    first = next(at, None)
    return None if first is None else (found[1], first)


def _place(path: Path, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # no permission to look: reading it will report why
        return True
    return True

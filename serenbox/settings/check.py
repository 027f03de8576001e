"""Checks the values of a configuration and describes each problem in a sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from serenbox.settings.known import KnownSetting, arrays, describe, tables
from serenbox.settings.rules import ARRAY_RULES, RULES
from serenbox.settings.values import as_toml, in_words, key_in_words, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serenbox.settings.lines import KeyPath
    from serenbox.settings.schema import Settings

MAX_ENTRIES = 16
"""The most tables in an array."""

MAX_PROBLEMS = 20
"""After this many problems the rest of a document is skipped: it is another kind of file."""

_CONFIDENTIAL = r"(?i)pass(word|wd|phrase)?$|secret|token"
_WHERE_SECRETS_GO = (
    "a password does not belong in this file, which others may read: put it into the systemd "
    "credential mqtt-password or the environment variable SERENBOX_MQTT_PASSWORD, and take it out "
    "of here"
)
_WHERE_TOKENS_GO = _WHERE_SECRETS_GO.replace("password does", "token does").replace(
    "mqtt-password or the environment variable SERENBOX_MQTT_PASSWORD",
    "web-token or the environment variable SERENBOX_WEB_TOKEN",
)
_LOGIN = rf"{_CONFIDENTIAL}|user"
_WHERE_LOGINS_GO = (
    "write the login of a camera into its address, "
    'source = "rtsp://user:password@camera.local/live"'
)


class Findings:
    """What was found in a document.

    Attributes:
        values: The values that can be used, by table and key.
        entries: The tables of each array of tables, as the dataclasses that declare them.
        given: The keys of both, with the tables they are in.
        problems: What is wrong: the key with the tables it is in, and a sentence.

    """

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], object] = {}
        self.entries: dict[str, tuple[object, ...]] = {}
        self.given: list[KeyPath] = []
        self.problems: list[tuple[KeyPath, str]] = []

    @property
    def full(self) -> bool:
        """Whether there are `MAX_PROBLEMS` problems or more."""
        return len(self.problems) >= MAX_PROBLEMS


def check_document(document: Mapping[str, object]) -> Findings:
    """Check everything in a document that tomllib has read."""
    findings = Findings()
    for table, content in document.items():
        if findings.full:
            break
        if table in tables() and isinstance(content, dict):
            _check_table(table, content, findings)
        elif table in tables():
            problem = (
                f"{table} is {in_words(content)}, and must be a table: begin it with [{table}]"
            )
            findings.problems.append(((table,), problem))
        elif table in arrays():
            _check_array(table, content, findings)
        else:
            findings.problems.append(((table,), _unknown_table(table, content)))
    return findings


def check_value(table: str, key: str, value: object, findings: Findings) -> None:
    """Add the value to the findings, or the problem with its name or with the value itself."""
    if table not in tables() and table in arrays():
        problem: str | None = f"{_header(table)} can only be set in a file"
    else:
        problem = _problem(table, key, value)
    if problem:
        findings.problems.append(((table, key), problem))
    else:
        findings.values[table, key] = _converted(table, key, value)
        findings.given.append((table, key))


def check_rules(settings: Settings, findings: Findings) -> None:
    """Add to the findings every rule that is broken by values that are valid by themselves."""
    wrong = {".".join(map(str, path)) for path, _ in findings.problems}
    for rule in RULES:
        if wrong.isdisjoint(rule.keys) and not rule.holds(settings):
            table, key = rule.keys[0].split(".")
            value = getattr(getattr(settings, table), key)
            problem = f"{rule.keys[0]} is {in_words(value)}, and must be {rule.wanted}"
            findings.problems.append(((table, key), problem))


def _check_table(table: str, content: Mapping[str, object], findings: Findings) -> None:
    for key, value in content.items():
        if findings.full:
            break
        check_value(table, key, value, findings)


def _check_array(table: str, content: object, findings: Findings) -> None:
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        what = "an array of other things" if isinstance(content, list) else in_words(content)
        problem = f"{table} is {what}, and must be an array of tables: begin each with [[{table}]]"
        findings.problems.append(((table,), problem))
    elif len(content) > MAX_ENTRIES:
        problem = f"there are {len(content)} [[{table}]], and at most {MAX_ENTRIES} are allowed"
        findings.problems.append(((table, MAX_ENTRIES), problem))
    else:
        found = (
            _check_entry(table, number, entry, findings) for number, entry in enumerate(content)
        )
        findings.entries[table] = tuple(entry for entry in found if entry is not None)


def _check_entry(
    table: str, number: int, entry: Mapping[str, object], findings: Findings
) -> object | None:
    """Return a table of an array as its dataclass; None if a key or value is wrong or missing."""
    where = (table, number)
    problems: list[tuple[KeyPath, str]] = [
        ((*where, key), problem)
        for key, value in entry.items()
        if (problem := _problem(table, key, value))
    ]
    problems += [
        (where, f"a [[{table}]] lacks {known.key}: add {known.key} = {as_toml(known.default)}")
        for known in describe(arrays()[table])
        if known.required and known.key not in entry
    ]
    findings.problems += problems[: MAX_PROBLEMS - len(findings.problems)]
    if problems:
        return None
    findings.given += [(*where, key) for key in entry]
    values = {key: _converted(table, key, value) for key, value in entry.items()}
    made: object = arrays()[table](**values)
    findings.problems += [
        ((*where, rule.key), f"{table}.{rule.key} must {rule.wanted}")
        for rule in ARRAY_RULES.get(table, ())
        if not rule.holds(made)
    ]
    return made


def _problem(table: str, key: str, value: object) -> str | None:
    """Return the problem with a key or its value; None if there is none."""
    found = _find(table, key)
    if found is None:
        return _unknown_key(table, key)
    return None if found.accepts(value) else _impossible(table, found, value)


def _converted(table: str, key: str, value: object) -> object:
    """Convert a valid value to the declared type: TOML has fewer types."""
    known = _find(table, key)
    if known is not None and known.kind is float and isinstance(value, int):
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def _find(table: str, key: str) -> KnownSetting | None:
    known = describe(_class_of(table)) if _class_of(table) else ()
    return next((setting for setting in known if setting.key == key), None)


def _class_of(table: str) -> type | None:
    return tables().get(table) or arrays().get(table)


def _impossible(table: str, known: KnownSetting, value: object) -> str:
    if known.kind is tuple and isinstance(value, list) and value:
        wrong = next(text for text in value if not known.element.accepts(text))
        each = f"each must be {known.element.wanted}"
        return f"{table}.{known.key} holds {in_words(wrong)}, and {each}"
    problem = f"{table}.{known.key} is {in_words(value)}, and must be {known.wanted}"
    return problem if known.choices else f"{problem}, such as {as_toml(known.default)}"


def _unknown_key(table: str, key: str) -> str:
    name = f"{key_in_words(table)}.{key_in_words(key)}" if key else key_in_words(table)
    if table == "camera" and re.search(_LOGIN, key):
        return f"{name} is not a setting: {_WHERE_LOGINS_GO}"
    if re.search(_CONFIDENTIAL, key):
        return f"{name}: {_WHERE_TOKENS_GO if table == 'web' else _WHERE_SECRETS_GO}"
    declared = _class_of(table)
    if declared is None:
        return f"{name} is not a setting: {_which_table(table)}"
    keys = [setting.key for setting in describe(declared)]
    if nearest := _nearest(key, keys):
        return f"{name} is not a setting: did you mean {nearest}?"
    if elsewhere := _tables_with(key):
        verb = "is one" if len(elsewhere) == 1 else "are"
        return f"{name} is not a setting: {' and '.join(elsewhere)} {verb}"
    return f"{name} is not a setting: those of {_header(table)} are {', '.join(keys)}"


def _unknown_table(table: str, content: object) -> str:
    name = key_in_words(table)
    if re.search(_CONFIDENTIAL, table):
        return f"{name}: {_WHERE_SECRETS_GO}"
    if isinstance(content, dict):
        return f"[{name}] is not a table of settings: {_which_table(table)}"
    if elsewhere := _tables_with(table):
        homes = " or ".join(_header(setting.partition(".")[0]) for setting in elsewhere)
        return f"{name} is not in a table: put it under {homes}"
    return f"{name} is not a setting: {_which_table(table)}"


def _which_table(table: str) -> str:
    names = (*tables(), *arrays())
    nearest = _nearest(table, names)
    if nearest:
        return f"did you mean {_header(nearest)}?"
    return f"the tables are {', '.join(map(_header, names))}"


def _header(table: str) -> str:
    return f"[[{table}]]" if table in arrays() else f"[{table}]"


def _tables_with(key: str) -> list[str]:
    return [f"{table}.{key}" for table in (*tables(), *arrays()) if _find(table, key)]


def _nearest(name: str, known: Iterable[str]) -> str | None:
    import difflib

    plain = shortened(name).lower().replace("-", "_")
    return next(iter(difflib.get_close_matches(plain, known, n=1)), None)

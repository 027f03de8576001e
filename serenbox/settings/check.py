"""What is wrong with the values of a configuration, in sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serenbox.settings.known import KnownSetting, describe, tables
from serenbox.settings.rules import RULES
from serenbox.settings.values import as_toml, in_words, key_in_words, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serenbox.settings.schema import Settings

MAX_PROBLEMS = 20
"""After so many problems the rest of a document is not looked at: it is another kind of file."""

_SECRET = re.compile(r"pass(word|wd|phrase)?$|secret|token", re.IGNORECASE)
_WHERE_SECRETS_GO = (
    "a password does not belong in this file, which others may read: put it into the systemd "
    "credential mqtt-password or the environment variable SERENBOX_MQTT_PASSWORD, and take it out "
    "of here"
)
_WHERE_TOKENS_GO = _WHERE_SECRETS_GO.replace("password does", "token does").replace(
    "mqtt-password or the environment variable SERENBOX_MQTT_PASSWORD",
    "web-token or the environment variable SERENBOX_WEB_TOKEN",
)


@dataclass(slots=True)
class Findings:
    """What a document holds.

    Attributes:
        values: The values that can be used, by table and key.
        problems: What is wrong: the key with the tables it is in, and a sentence.

    """

    values: dict[tuple[str, str], object] = field(default_factory=dict)
    problems: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether there are as many problems as anybody wants to read."""
        return len(self.problems) >= MAX_PROBLEMS


def check_document(document: Mapping[str, object]) -> Findings:
    """Look at everything in a document that tomllib has read."""
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
        else:
            findings.problems.append(((table,), _unknown_table(table, content)))
    return findings


def check_value(table: str, key: str, value: object, findings: Findings) -> None:
    """Put the value into the findings, or what is wrong with its name or with itself."""
    found = _find(table, key)
    if found is None:
        findings.problems.append(((table, key), _unknown_key(table, key)))
    elif found.accepts(value):
        if isinstance(value, int) and found.kind is float:
            value = float(value)
        findings.values[table, key] = value
    else:
        findings.problems.append(((table, key), _impossible(table, found, value)))


def check_rules(settings: Settings, findings: Findings) -> None:
    """Add to the findings every rule that is broken by values that are fine by themselves."""
    wrong = {".".join(path) for path, _ in findings.problems}
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


def _find(table: str, key: str) -> KnownSetting | None:
    known = describe(tables()[table]) if table in tables() else ()
    return next((setting for setting in known if setting.key == key), None)


def _impossible(table: str, known: KnownSetting, value: object) -> str:
    problem = f"{table}.{known.key} is {in_words(value)}, and must be {known.wanted}"
    return problem if known.choices else f"{problem}, such as {as_toml(known.default)}"


def _unknown_key(table: str, key: str) -> str:
    name = f"{key_in_words(table)}.{key_in_words(key)}" if key else key_in_words(table)
    if _SECRET.search(key):
        return f"{name}: {_WHERE_TOKENS_GO if table == 'web' else _WHERE_SECRETS_GO}"
    if table not in tables():
        return f"{name} is not a setting: {_which_table(table)}"
    keys = [setting.key for setting in describe(tables()[table])]
    if nearest := _nearest(key, keys):
        return f"{name} is not a setting: did you mean {nearest}?"
    if elsewhere := _tables_with(key):
        verb = "is one" if len(elsewhere) == 1 else "are"
        return f"{name} is not a setting: {' and '.join(elsewhere)} {verb}"
    return f"{name} is not a setting: those of [{table}] are {', '.join(keys)}"


def _unknown_table(table: str, content: object) -> str:
    name = key_in_words(table)
    if _SECRET.search(table):
        return f"{name}: {_WHERE_SECRETS_GO}"
    if isinstance(content, dict):
        return f"[{name}] is not a table of settings: {_which_table(table)}"
    if elsewhere := _tables_with(table):
        homes = " or ".join(f"[{setting.partition('.')[0]}]" for setting in elsewhere)
        return f"{name} is not in a table: put it under {homes}"
    return f"{name} is not a setting: {_which_table(table)}"


def _which_table(table: str) -> str:
    nearest = _nearest(table, tables())
    if nearest:
        return f"did you mean [{nearest}]?"
    return f"the tables are {', '.join(f'[{name}]' for name in tables())}"


def _tables_with(key: str) -> list[str]:
    return [f"{table}.{key}" for table in tables() if _find(table, key)]


def _nearest(name: str, known: Iterable[str]) -> str | None:
    import difflib

    plain = shortened(name).lower().replace("-", "_")
    return next(iter(difflib.get_close_matches(plain, known, n=1)), None)

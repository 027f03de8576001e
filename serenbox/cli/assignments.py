"""Settings given on the command line: `--set TABLE.KEY=VALUE`."""

from __future__ import annotations

from serenbox.cli.common import UsageError


def parse_assignment(text: str) -> tuple[str, object]:
    """Return `TABLE.KEY` and the value of an assignment, parsed as TOML, or else as plain text.

    A number or the like for a setting that is a text is one: shells remove the quotes.

    Raises:
        UsageError: There is no `=`.

    """
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: write it as TABLE.KEY=VALUE, such as mood.smoothing=1.5")
    import tomllib  # seldom needed

    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # not TOML, or beyond Python's limits
        return name.strip(), value.strip()
    whole = len(parsed) == 1
    if whole and (isinstance(parsed["value"], str) or not _is_text(name.strip())):
        return name.strip(), parsed["value"]
    return name.strip(), value.strip() if whole else value


def _is_text(name: str) -> bool:
    """Return whether a setting such as `device.name` is a text."""
    from serenbox.settings.known import describe, tables

    table, _, key = name.partition(".")
    known = describe(tables()[table]) if table in tables() else ()
    return any(setting.key == key and setting.kind is str for setting in known)

"""Formats values as TOML and for use in sentences."""

from __future__ import annotations

import json
import re

from serenbox.addresses import without_passwords

_LONGEST = 60  # characters of a value in a sentence


def as_toml(value: object) -> str:
    """Format a bool, a number, a text without control characters or an array of these as TOML."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def in_words(value: object) -> str:
    """Describe any value from a TOML file, shortened, in words that follow `is`."""
    if isinstance(value, str):
        text = without_passwords(value)
        return f"the text {json.dumps(shortened(text), ensure_ascii=False)}" if text else "empty"
    if isinstance(value, (bool, float)):
        return as_toml(value)
    if isinstance(value, int):  # Python refuses to write out numbers of thousands of digits
        return str(value) if value.bit_length() <= 128 else "a very large number"
    if isinstance(value, (list, dict)):
        array = "an array" if value else "an empty array"
        return "a table" if isinstance(value, dict) else array
    return "a date or a time"


def key_in_words(key: str) -> str:
    """Return a key as it is, or quoted and shortened if it is not a plain word."""
    return key if re.fullmatch(r"[\w-]{1,60}", key, re.ASCII) else json.dumps(shortened(key))


def shortened(text: str) -> str:
    """Return the text, cut if it is too long for a sentence."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

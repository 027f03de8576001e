"""The settings that exist, as read from the dataclasses that declare them."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from serenbox.settings.schema import Settings
from serenbox.settings.table import Setting
from serenbox.settings.values import as_toml

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: 'one line of text in "quotes"',
    tuple: 'an array of texts in "quotes", at least one',
}


class KnownSetting(NamedTuple):
    """One setting.

    Attributes:
        key: Its name, without that of its table.
        kind: bool, int, float or str; tuple for an array of texts.
        choices: The values allowed for it, or for each text of an array; empty if the kind, or
            `low` and `high`, alone define them.
        default: Its value if none is given; an example if one must be given.
        doc: What it means.
        low: The lowest number allowed; None if there is no limit.
        high: The highest number allowed; None if there is no limit.
        required: Whether it must be given.

    """

    key: str
    kind: type
    choices: tuple[object, ...]
    default: object
    doc: str
    low: float | None
    high: float | None
    required: bool = False

    @property
    def element(self) -> KnownSetting:
        """What each text of an array must be."""
        return self._replace(kind=str, default="")

    @property
    def limits(self) -> str:
        """The choices or the range in words, such as `64 to 4096`; empty if there are none."""
        if self.choices:
            quantity = "any" if self.kind is tuple else "one"
            return f"{quantity} of {', '.join(map(as_toml, self.choices))}"
        if self.low is None or self.high is None:
            return ""
        return f"{self.low:g} to {self.high:g}"

    @property
    def wanted(self) -> str:
        """What it must be, in words that follow `must be`."""
        if self.kind is tuple and self.choices:
            return f"an array of {self.limits}"
        if self.choices or not self.limits:
            return self.limits or _KINDS[self.kind]
        return f"{_KINDS[self.kind]} from {self.limits}"

    def accepts(self, value: object) -> bool:
        """Return whether a value from a TOML file is valid; a float may be a whole number."""
        if self.kind is tuple and isinstance(value, (list, tuple)):
            return bool(value) and all(map(self.element.accepts, value))
        kinds: tuple[type, ...] = (int, float) if self.kind is float else (self.kind,)
        if type(value) not in kinds:  # not isinstance: a bool is an int to Python, not to people
            return False
        if self.choices:
            return value in self.choices
        if isinstance(value, str):
            return not any(character < " " or character == "\x7f" for character in value)
        if isinstance(value, (int, float)) and self.low is not None and self.high is not None:
            return self.low <= value <= self.high
        return True


@cache
def describe(settings_class: type) -> tuple[KnownSetting, ...]:
    """Return the settings of one table, such as `CameraSettings`, in the order of its fields."""
    hints = get_type_hints(settings_class, include_extras=True)
    return tuple(_describe(field, hints[field.name]) for field in fields(settings_class))


@cache
def tables() -> dict[str, type]:
    """Return the dataclass of each table, in the order of `Settings`; do not change the mapping."""
    # The default factory is the table's class; evaluating the annotations would take longer.
    made: dict[str, Any] = {field.name: field.default_factory for field in fields(Settings)}
    return {name: table for name, table in made.items() if table is not MISSING}


@cache
def arrays() -> dict[str, type]:
    """Return the dataclass of each array of tables, such as `[[hooks]]`; do not change it."""
    hints = get_type_hints(Settings)
    return {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is tuple}


def _describe(field: Field[Any], hint: object) -> KnownSetting:
    key = field.name
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{key} has no documentation: declare it as Annotated[type, Setting(...)]")
    declared, setting = get_args(hint)
    if not isinstance(setting, Setting):
        raise TypeError(f"{key} is annotated with {setting!r}: it must be a Setting")
    many = get_origin(declared) is tuple
    one = get_args(declared)[0] if many else declared
    choices = get_args(one) if get_origin(one) is Literal else ()
    kind = tuple if many else type(choices[0]) if choices else one
    required = field.default is MISSING
    default = setting.example if required else field.default
    return KnownSetting(
        key, kind, choices, default, setting.doc, setting.low, setting.high, required
    )

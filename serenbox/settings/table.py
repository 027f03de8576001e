"""What a setting is, and what all tables of settings have in common."""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    """What a setting means and, of a number, the least and the greatest that it may be.

    One that has no default, for it must be given, shows an example in its place.
    """

    doc: str
    low: float | None = None
    high: float | None = None
    example: object = None


class Table:
    """What tables have in common. To generate this for each costs time whenever a tool starts."""

    __slots__ = ()

    def _given(self) -> dict[str, object]:
        names: tuple[str, ...] = self.__slots__
        return {name: getattr(self, name) for name in names}

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same table with the same values."""
        return self._given() == other._given() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash that goes with that."""
        return hash(tuple(self._given().values()))

    def __repr__(self) -> str:
        """Return what Python would make it of."""
        values = (f"{name}={value!r}" for name, value in self._given().items())
        return f"{type(self).__name__}({', '.join(values)})"

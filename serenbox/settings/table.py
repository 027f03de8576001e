"""What a setting is, and what all tables of settings have in common."""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    """What a setting means and, for a number, the lowest and the highest value allowed.

    A setting that must be given has no default, and shows an example instead.
    """

    doc: str
    low: float | None = None
    high: float | None = None
    example: object = None


class Table:
    """Base of all tables. Generating these methods for each one would slow down every start."""

    __slots__ = ()

    def _given(self) -> dict[str, object]:
        names: tuple[str, ...] = self.__slots__
        return {name: getattr(self, name) for name in names}

    def __eq__(self, other: object) -> bool:
        """Return whether the other is the same table with the same values."""
        return self._given() == other._given() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash that is consistent with equality."""
        return hash(tuple(self._given().values()))

    def __repr__(self) -> str:
        """Return a Python expression that would make it."""
        values = (f"{name}={value!r}" for name, value in self._given().items())
        return f"{type(self).__name__}({', '.join(values)})"

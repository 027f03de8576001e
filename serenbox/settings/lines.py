"""Finds the line of each key in a TOML file, which tomllib does not report."""

from __future__ import annotations

import re
import tomllib

KeyPath = tuple[str | int, ...]
"""A key after the tables it is in, outermost first; the elements of arrays are numbered from 0."""

_PATTERN = r'''(?sx)
      (?P<key> """(?:\\.|[^\\])*?""""{0,2} | \'\'\'.*?\'\'\'\'{0,2}
             | "(?:\\.|[^"\\\n])*" | '[^'\n]*' | [^\s"'\#\[\]{}=,.]+ )
    | (?P<comment> \#[^\n]* )
    | (?P<newline> \n )
    | (?P<sign> [\[\]{}=,] )
    '''


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, on which each key and each table first appears.

    Args:
        text: TOML that tomllib has read without complaint.

    """
    scanner = _Scanner()
    for token in re.finditer(_PATTERN, text):
        scanner.take(token.lastgroup or "", token.group())
    return scanner.lines


class _Scanner:
    """Follows the tokens and remembers where it is: a name before `=`, or a value after it."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._line = 1
        self._table: KeyPath = ()
        self._value: KeyPath = ()  # the key whose value is being read
        self._name: list[str] = []
        self._naming = True
        self._header = 0  # brackets that opened the header
        self._last: dict[KeyPath, int] = {}  # number of the last table of each array
        self._open: list[tuple[str, KeyPath, KeyPath]] = []  # brackets, and the state to return to

    def take(self, kind: str, token: str) -> None:
        """Process one token."""
        if kind == "key" and self._naming:
            self._name.append(_unquoted(token))
        elif kind == "newline" and not self._open:
            self._begin_name()
        elif kind == "sign":
            self._take_sign(token)
        self._line += token.count("\n")

    def _take_sign(self, sign: str) -> None:
        if sign == "[" and self._naming:
            self._header += 1
        elif sign == "]" and self._header:
            if self._naming:  # the second of two brackets adds nothing
                self._table = self._end_header()
            self._header -= 1
        elif sign == "=":
            self._value = self._end_name(self._table)
        elif sign in "[{":
            self._open_bracket(sign)
        elif sign in "]}" and self._open:
            _, self._table, self._value = self._open.pop()
            self._naming = False
        elif sign == ",":
            self._go_on()

    def _go_on(self) -> None:
        """Go on to the next key of an inline table, or to the next value of an array."""
        if self._open[-1][0] == "{":
            self._begin_name()
        else:
            *array, number = self._value
            self._value = (*array, int(number) + 1)

    def _open_bracket(self, sign: str) -> None:
        self._open.append((sign, self._table, self._value))
        if sign == "{":
            self._table = self._value
            self._remember(self._table)
            self._begin_name()
        else:
            self._value = (*self._value, 0)

    def _begin_name(self) -> None:
        self._name = []
        self._naming = True

    def _end_name(self, table: KeyPath) -> KeyPath:
        path = (*table, *self._name)
        self._remember(path)
        self._naming = False
        return path

    def _end_header(self) -> KeyPath:
        """Return the path that a header names; inside an array, it refers to the last table."""
        path: KeyPath = ()
        for name in self._name:
            if path in self._last:
                path = (*path, self._last[path])
            path = (*path, name)
        if self._header == 2:
            self._last[path] = self._last.get(path, -1) + 1
        if path in self._last:
            path = (*path, self._last[path])
        self._remember(path)
        self._naming = False
        return path

    def _remember(self, path: KeyPath) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], self._line)


def _unquoted(token: str) -> str:
    if token[0] not in "\"'":
        return token
    return next(iter(tomllib.loads(f"{token} = 0")))

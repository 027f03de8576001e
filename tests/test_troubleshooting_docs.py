"""Tests of `docs/troubleshooting.md`: the messages it explains are those of the programs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from serenbox.settings.known import describe, tables

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^### `(.+)`$", TEXT, re.MULTILINE)


def literals() -> list[str]:
    """Return every string of the programs but docstrings, with `…` for inserted values."""
    found = []
    for path in (*(ROOT / "serenbox").rglob("*.py"), ROOT / "setup.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in docstrings:
                continue
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


LITERALS = literals()


def test_messages_are_explained() -> None:
    assert len(MESSAGES) > 10


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_explained_exists(message: str) -> None:
    parts = [re.escape(part) for part in message.split("…")]
    wanted = re.compile(".*".join(parts), re.DOTALL)
    assert any(wanted.search(literal) for literal in LITERALS), message


def test_settings_that_are_named_exist() -> None:
    known = {f"{name}.{one.key}" for name, table in tables().items() for one in describe(table)}
    named = set(re.findall(rf"`((?:{'|'.join(tables())})\.[a-z_]+)", TEXT))
    assert len(named) > 5
    assert named <= known

"""What is said about a settings file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.errors import SettingsError
from serenbox.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def problems(config: Path, text: str | bytes) -> list[str]:
    """What is said about a file, without its name."""
    config.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError) as raised:
        load_settings(config)
    found = raised.value.problems
    assert all(problem.startswith(str(config)) for problem in found)
    assert not any("\n" in problem for problem in found)
    return [problem.removeprefix(str(config)).lstrip(",: ") for problem in found]

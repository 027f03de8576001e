"""What to do if something that a test needs is missing."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(sentence: str) -> NoReturn:
    """Skip the test, saying what is missing, or fail it if SERENBOX_REQUIRE_ALL is 1."""
    if os.environ.get("SERENBOX_REQUIRE_ALL") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)


def needs(program: str) -> pytest.MarkDecorator:
    """Skip if a program is missing, unless all must be there: then the test fails instead."""
    absent = shutil.which(program) is None and os.environ.get("SERENBOX_REQUIRE_ALL") != "1"
    return pytest.mark.skipif(absent, reason=f"{program} is not installed")

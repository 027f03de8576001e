from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from training.quiet import quiet

if TYPE_CHECKING:
    import pytest


def test_nothing_is_said_inside_and_all_of_it_after(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("python")
        print("python", file=sys.stderr)
        os.write(1, b"a library")
        os.write(2, b"a library")
    print("after")
    print("after", file=sys.stderr)

    assert tuple(capfd.readouterr()) == ("after\n", "after\n")


def test_a_logger_made_inside_may_write_later(capfd: pytest.CaptureFixture[str]) -> None:
    """As TensorFlow's, which warns whenever a function is traced again."""
    logger = logging.getLogger("made inside")
    with quiet():
        logger.addHandler(logging.StreamHandler())

    logger.warning("traced again")

    assert tuple(capfd.readouterr()) == ("", "")

"""What is shown on a terminal only: color, and how far the work has got."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from serenbox.cli.common import printable


class Progress:
    """One line on a terminal that says how far the work has got; silent anywhere else."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._on = total > 1 and obeys_escapes(sys.stderr)

    def show(self, number: int, name: str) -> None:
        """Say that the `number`th of all is being worked on."""
        if self._on:
            import shutil  # imported here: most runs show no progress

            text = f"[{number}/{self._total}] {printable(name)}"
            sys.stderr.write("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()

    def clear(self) -> None:
        """Erase the line, to print something else."""
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def shows_color(stream: TextIO | None) -> bool:
    """Return whether to write in color: on a terminal, unless NO_COLOR (no-color.org) is set."""
    return obeys_escapes(stream) and not os.environ.get("NO_COLOR")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether the stream is a terminal; a closed one is not."""
    return stream is not None and stream.isatty()


def obeys_escapes(stream: TextIO | None) -> bool:
    """Return whether the stream is a terminal that obeys escapes for its cursor and colors."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"

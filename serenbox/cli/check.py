"""`serenbox check`: look at everything sensing needs, and say how to mend what is wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_OK,
    Tool,
    native_messages_hidden,
    path_of,
    printable,
    write_line,
)
from serenbox.cli.terminal import shows_color

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from serenbox.doctor.result import Result

_COLORS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}
_PLAIN = "\x1b[0m"
_NAME_WIDTH = 13


class CheckTool(Tool):
    """Look at everything that sensing needs, and say how to mend what is wrong.

    One line for each thing: ok, warn or fail; what was seen; and the command that mends it. Nothing
    is changed, no camera is opened, and nothing is sent beyond a connection to the broker and to a
    camera in the network, where they are used. A running service is asked how it is. With sudo
    the checks are made for the service's user, otherwise for you.

    With --json one object is printed:
      {"ok": true, "checks": [{"name", "state", "seen", "mend"}, ...]}

    Exit code: 0 if nothing failed (warnings do not count), 1 otherwise.
    """

    prog: ClassVar[str] = "serenbox check"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--config",
            metavar="FILE",
            type=path_of,
            help="configuration to look at (default: /etc/serenbox/serenbox.toml, then, without "
            "sudo, your own)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Run all checks and print their answers as they come."""
        results = []
        color = shows_color(sys.stdout)
        for result in _answers(args):
            results.append(result)
            if not args.json:
                write_line(table_line(result, color=color))
        well = all(result.state != "fail" for result in results)
        if args.json:
            checks = list(map(asdict, results))
            # Escaped, so that it stays JSON where the terminal knows no UTF-8.
            write_line(json.dumps({"ok": well, "checks": checks}))
        return EXIT_OK if well else EXIT_FAILED


def _answers(args: argparse.Namespace) -> Iterator[Result]:
    from serenbox.doctor import examine

    answers = examine(args.config)
    while True:
        with native_messages_hidden(show=args.debug):  # a runtime announces itself
            answer = next(answers, None)
        if answer is None:
            return
        yield answer


def table_line(result: Result, *, color: bool = False) -> str:
    """Lay out an answer as one line of the table."""
    state = f"{result.state:<4}"
    if color:
        state = f"{_COLORS[result.state]}{state}{_PLAIN}"
    line = f"{state}  {result.name:<{_NAME_WIDTH}}  {printable(result.seen)}"
    return f"{line}; mend it with: {printable(result.mend)}" if result.mend else line

"""`serenbox`: one command for the box, with a subcommand for each thing to do."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from serenbox.cli.common import EXIT_INTERRUPTED, EXIT_USAGE, Tool, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


class Command(NamedTuple):
    """A subcommand: `tool` is `module:class`, imported only when it is needed."""

    tool: str
    summary: str


COMMANDS = {
    "run": Command("serenbox.cli.run:RunTool", "sense the mood with the camera and publish it"),
    "pause": Command("serenbox.cli.control:PauseTool", "close the camera until told to resume"),
    "resume": Command("serenbox.cli.control:ResumeTool", "open the camera again"),
    "status": Command("serenbox.cli.control:StatusTool", "say what the service is doing"),
    "check": Command("serenbox.cli.check:CheckTool", "look for what is wrong with this box"),
    "config": Command("serenbox.cli.config:ConfigTool", "print, check or show the configuration"),
    "history": Command("serenbox.cli.history:HistoryTool", "show or remove the moods of past days"),
    "replay": Command("serenbox.cli.replay:ReplayTool", "print the moods of a recording over time"),
    "serve": Command("serenbox.cli.serve:ServeTool", "answer photos with emotions over HTTP"),
    "bench": Command("serenbox.cli.bench:BenchTool", "measure how fast the service is here"),
}
"""Every command by its name, in the order in which they are listed."""

_ELSEWHERE = {
    "detect": "serenbox-detect",
    "doctor": "serenbox check",
    "settings": "serenbox config",
    "help": "serenbox --help",
    "version": "serenbox --version",
    "start": "sudo systemctl start serenbox",
    "stop": "sudo systemctl stop serenbox",
    "restart": "sudo systemctl restart serenbox",
    "reload": "sudo systemctl reload serenbox",
    "log": "journalctl -u serenbox",
    "logs": "journalctl -u serenbox",
}
"""Words that people try, and the command that does what they mean."""


class Overview(Tool):
    """Sense the mood of the person in front of the camera, on this device alone."""

    prog: ClassVar[str] = "serenbox"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments, and list the commands below them."""
        parser.usage = "serenbox COMMAND [ARGUMENT ...]"
        width = max(map(len, COMMANDS))
        listed = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
        last = ["`serenbox COMMAND --help` says more about each.", "Photos: `serenbox-detect`."]
        parser.epilog = "\n".join(["commands:", *listed, "", *last])
        parser.add_argument("command", metavar="COMMAND", nargs="?", help="one of those below")

    def run(self, args: argparse.Namespace) -> int:
        """Report the error: with a valid command this tool is not called."""
        if args.command is None:
            raise UsageError("the command comes first: serenbox COMMAND --debug")
        raise UsageError(f"there is no command '{args.command}': {_hint(args.command)}")


def _hint(word: str) -> str:
    if word in _ELSEWHERE:
        return f"run `{_ELSEWHERE[word]}`"
    import difflib

    nearest = difflib.get_close_matches(word[:60], COMMANDS, n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(COMMANDS)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `serenbox` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        arguments = ["--help"]
    if arguments[0] not in COMMANDS:
        # This tool cannot judge the arguments of an unknown command.
        return Overview().main(arguments[:1])
    try:
        tool = load_tool(arguments[0])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ImportError as error:
        from serenbox.installed import how_to_install

        Overview().error(f"{error}, but `serenbox {arguments[0]}` needs it: {how_to_install()}")
        return EXIT_USAGE
    return tool.main(arguments[1:])


def load_tool(name: str) -> Tool:
    """Import and create the tool of one of `COMMANDS`."""
    module, _, tool = COMMANDS[name].tool.partition(":")
    made: Tool = getattr(importlib.import_module(module), tool)()
    return made


if __name__ == "__main__":
    sys.exit(main())

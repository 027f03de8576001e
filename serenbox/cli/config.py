"""`serenbox config`: print the default configuration, check one, or show what applies."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from serenbox.cli.common import EXIT_OK, Tool, UsageError, path_of, printable, write_line
from serenbox.settings import (
    find_settings_file,
    read_settings,
    render_effective,
    render_settings,
)

if TYPE_CHECKING:
    import argparse


class ConfigTool(Tool):
    """Print the default configuration with comments, check a configuration, or show what applies.

    Without an option: the default configuration, to begin your own with:
      serenbox config | sudo tee /etc/serenbox/serenbox.toml

    Without FILE, --check and --show read what the service would: /etc/serenbox/serenbox.toml if it
    is there, else serenbox/serenbox.toml in $XDG_CONFIG_HOME or ~/.config; without either, the
    defaults apply. Passwords in addresses are not shown.

    Exit code: 0 if all is right; 2 if the configuration is not, with a line for each problem, or
    the call was wrong.
    """

    prog: ClassVar[str] = "serenbox config"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--check", action="store_true", help="check the configuration for mistakes"
        )
        what.add_argument(
            "--show", action="store_true", help="print every setting and where it comes from"
        )
        parser.add_argument("file", metavar="FILE", nargs="?", type=path_of, help="configuration")

    def run(self, args: argparse.Namespace) -> int:
        """Print what was asked for."""
        if not args.check and not args.show:
            if args.file:
                raise UsageError(f"what to do with {args.file}? Add --check or --show")
            write_line(render_settings().rstrip("\n"))
            return EXIT_OK
        file = read_settings(find_settings_file(args.file))
        if args.show:
            write_line(render_effective(file).rstrip("\n"))
        elif file.path is None:
            write_line("OK: there is no configuration file, so the defaults apply")
        else:
            write_line(f"{printable(str(file.path))}: OK")
        return EXIT_OK

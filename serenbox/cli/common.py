"""What all command-line tools of SerenBox share: output, error lines and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from serenbox.errors import SerenBoxError, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE


class UsageError(SerenBoxError):
    """The tool was called in a way that cannot work; exit code 2."""


class OutputError(SerenBoxError):
    """The results cannot be written to standard output; exit code 1."""


class Tool(ABC):
    """A command-line tool: the docstring of a subclass is the help that `--help` shows."""

    prog: ClassVar[str]
    debug_help: ClassVar[str] = "show a traceback with each error"

    def __init__(self) -> None:
        self.debug = False

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments of the tool."""

    @abstractmethod
    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return the exit code."""

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Parse the arguments, run, and turn whatever goes wrong into one line and an exit code."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # an unencodable name must not break the run
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            status = self._parse_and_run(argv)
            flush_output()
        except KeyboardInterrupt:
            abandon_output()
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            abandon_output()
            return EXIT_CLOSED_PIPE
        except OutputError as error:
            abandon_output()
            self.error(str(error))
            return EXIT_FAILED
        except SerenBoxError as error:
            self.error(*error.problems)
            return EXIT_USAGE
        except ImportError as error:
            from serenbox.installed import how_to_install

            self.error(f"{error}, but SerenBox needs it: {how_to_install()}")
            return EXIT_USAGE
        except Exception as error:  # noqa: BLE001
            return self._unexpected(error)
        return status

    def _unexpected(self, error: Exception) -> int:
        """Report an unforeseen error, also in one line and without a traceback."""
        if isinstance(error, OSError) and error.filename is not None:
            self.error(
                f"{error.filename}: {reason_of(error)}: check the path, its permissions and "
                "those of the folders above it"
            )
            return EXIT_USAGE
        self.error(
            f"unexpected {type(error).__name__}: {error}: this is a bug in SerenBox; "
            "run it again with --debug and report what that prints"
        )
        return EXIT_FAILED

    def error(self, *messages: str) -> None:
        """Print each on a line of standard error, after the traceback if --debug was given."""
        if self.debug and sys.exc_info()[0]:
            import traceback

            traceback.print_exc()
        if sys.stderr is None:  # closed: print() would take standard output
            return
        with contextlib.suppress(OSError):  # the reader of standard error has gone
            for message in messages:
                print(f"{self.prog}: error: {printable(message)}", file=sys.stderr, flush=True)

    def _parse_and_run(self, argv: Sequence[str] | None) -> int:
        try:
            args = self._parse(argv)
        except SystemExit as finished:  # argparse has printed the help, or what is wrong
            return finished.code if isinstance(finished.code, int) else EXIT_USAGE
        self.debug = args.debug
        return self.run(args)

    def _parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        description, _, epilog = (self.__doc__ or "").partition("\n\n")
        parser = argparse.ArgumentParser(
            prog=self.prog,
            description=description,
            epilog="\n".join(line.removeprefix("    ") for line in epilog.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        parser.add_argument("--debug", action="store_true", help=self.debug_help)
        parser.add_argument(
            "--version", action=_Version, nargs=0, help="show the version of SerenBox and exit"
        )
        return parser.parse_args(argv)


class _Version(argparse.Action):
    """Prints the installed version; looks it up only when asked, because that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("serenbox")
        except PackageNotFoundError:
            found = "(not installed, running from a checkout)"
        write_line(f"{parser.prog} {found}")
        parser.exit()


def number_type(
    wanted: str, fits: Callable[[float], bool], *, whole: bool = False
) -> Callable[[str], float]:
    """Return a function that reads a number, for `type=` of argparse.

    Args:
        wanted: What the number must be, in words that follow `must be`.
        fits: Returns whether a number is that; false for nan.
        whole: Whether to accept only digits, and return an int.

    """

    def read(text: str) -> float:
        value = math.nan
        with contextlib.suppress(ValueError):  # not a number, or one of thousands of digits
            if not whole:
                value = float(text)
            elif text.isascii() and text.isdigit():
                value = int(text)
        if not fits(value):
            raise argparse.ArgumentTypeError(f"must be {wanted}, not '{text}'")
        return value

    return read


def path_of(text: str) -> Path:
    """Return the path that an argument names, for `type=` of argparse.

    Raises:
        argparse.ArgumentTypeError: It is empty, as an unset variable of the shell is: as a path it
            would mean the current folder.

    """
    if not text:
        raise argparse.ArgumentTypeError("the name is empty: give one, or leave this out")
    return Path(text)


def write_line(text: str) -> None:
    """Print to standard output at once.

    Raises:
        BrokenPipeError: The reader has gone.
        OutputError: The text cannot be written, for example because the disk is full.

    """
    check_output()
    with _output_errors():
        print(text, flush=True)


def check_output() -> None:
    """Make sure that standard output is open.

    Raises:
        OutputError: It is closed.

    """
    if sys.stdout is None:
        raise OutputError("standard output is closed: leave it open, or send it to a file")


def flush_output() -> None:
    """Write out what standard output still buffers; raises like `write_line`."""
    if sys.stdout is not None:
        with _output_errors():
            sys.stdout.flush()


@contextlib.contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"standard output: the results cannot be written ({reason_of(error)}): "
            "free some space or write them elsewhere"
        ) from error


def abandon_output() -> None:
    """Discard what standard output still buffers, so that Python does not complain at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def printable(text: str) -> str:
    """Escape what could break a line or control a terminal: control characters and broken bytes."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


@contextlib.contextmanager
def native_messages_hidden(*, show: bool = False) -> Iterator[None]:
    """Hide what C libraries write to standard error on their own.

    libjpeg, libpng, OpenCV and the runtimes warn on file descriptor 2 about what SerenBox reports
    in its own words. Print nothing of our own inside.

    Args:
        show: Whether to hide nothing.

    """
    try:
        saved = -1 if show else os.dup(2)
    except OSError:  # standard error is closed, so there is nothing to hide
        saved = -1
    if saved < 0:
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)

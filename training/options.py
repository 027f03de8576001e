"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from serenbox.cli.common import path_of
from training.errors import RunError
from training.files import local_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Crop margins that `crop` tries by default."""

EXPONENTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Prior exponents that `prior` tries by default, as far as training kept the prior out."""


def add_command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    """Add a command that runs a function, whose docstring describes it; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=run.__doc__)
    parser.set_defaults(command=run)
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where FER2013 and FER+ are."""
    parser.add_argument(
        "--data",
        type=path_option,
        required=True,
        metavar="PATH",
        help="fer2013.csv (plain, .gz or .xz) or Kaggle's folder with train/ and test/",
    )
    parser.add_argument(
        "--ferplus", type=path_option, metavar="FILE", help="FER+'s votes (fer2013new.csv)"
    )


def add_out_option(parser: argparse.ArgumentParser, text: str, *, required: bool = False) -> None:
    """Add the option that says which folder to write into."""
    parser.add_argument("--out", type=path_option, required=required, metavar="DIR", help=text)


def path_option(text: str) -> Path:
    """Parse a path, which may be one of Cloud Storage; an empty one would be this folder."""
    path_of(text)
    try:
        return local_path(text)
    except RunError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def file_option(text: str) -> str:
    """Parse a path, or a word that is not a path, as text."""
    return str(path_option(text))


def whole_option(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse_whole(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            msg = f"{text!r} is not a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return parse_whole


def number_option(text: str, low: float = -100, high: float = 100) -> float:
    """Parse a number from `low` to `high`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        msg = f"{text!r} is not a number from {low:g} to {high:g}"
        raise argparse.ArgumentTypeError(msg)
    return value


def part_option(text: str) -> float:
    """Parse a number from 0 to 1."""
    return number_option(text, 0, 1)


def lift_option(text: str) -> float:
    """Parse a `CropSpec.lift`."""
    return number_option(text, -0.5, 0.5)

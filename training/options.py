"""Options of the command line that several commands have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from training.errors import RunError
from training.files import local_path

if TYPE_CHECKING:
    from pathlib import Path


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


def path_option(text: str) -> Path:
    """Read a path, which may be one of Cloud Storage."""
    try:
        return local_path(text)
    except RunError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def file_option(text: str) -> str:
    """Read a path or a word that is none, as text."""
    return str(path_option(text))

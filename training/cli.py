"""The command line of `python -m training`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from training.data import LabelSet, describe, load_faces
from training.errors import RunError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = "python -m training"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code: 0 done, 1 could not be done, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except TrainingError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; go on with --resume", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Train and measure the network.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands)
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where FER2013 and FER+ are."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="PATH",
        help="fer2013.csv (plain, .gz or .xz) or Kaggle's folder with train/ and test/",
    )
    parser.add_argument(
        "--ferplus", type=Path, metavar="FILE", help="FER+'s votes (fer2013new.csv)"
    )


def _add_fit(commands: Any) -> None:
    parser = commands.add_parser("fit", help="train a network", description=_fit.__doc__)
    parser.set_defaults(command=_fit)
    add_data_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the run"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on after the last whole epoch in --out"
    )
    parser.add_argument(
        "--labels",
        dest="label_set",
        choices=get_args(LabelSet),
        default=argparse.SUPPRESS,
        help="whose labels to learn (default: ferplus where --ferplus is given, else fer2013)",
    )
    for name, kind, text in (
        ("size", int, "side of the input in pixels, a multiple of 32"),
        ("alpha", float, "width multiplier of MobileNetV2"),
        ("weights", str, "where to begin: imagenet, a .weights.h5 file, or none"),
        ("epochs", int, "passes over the training faces"),
        ("small-epochs", int, "how many of them, first, run at --small-size"),
        ("small-size", int, "side of the input in those"),
        ("batch-size", int, "faces per step"),
        ("learning-rate", float, "peak learning rate of AdamW"),
        ("weight-decay", float, "weight decay of AdamW"),
        ("ema", float, "momentum of the average of weights"),
        ("dropout", float, "share of features dropped before the logits"),
        ("balance", float, "exponent of the class prior in the loss, 0 to 1"),
        ("label-smoothing", float, "share of every target spread over all classes"),
        ("seed", int, "seed of everything random"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS, help=text)


def _fit(options: argparse.Namespace) -> None:
    """Train a network; writes model.keras, history.csv, curves.png and run.json into --out."""
    from training.fit import FitSettings, Run
    from training.record import write_record

    values = vars(options)
    values.setdefault("label_set", "ferplus" if options.ferplus else "fer2013")
    names = {field.name for field in dataclasses.fields(FitSettings)}
    settings = FitSettings(**{name: value for name, value in values.items() if name in names})
    if (options.out / "model.keras").exists():
        msg = f"{options.out} already holds a finished model; give --out another folder"
        raise RunError(msg)
    faces = load_faces(options.data, options.ferplus)
    for line in describe(faces):
        print(line)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(faces, settings, options.out)
    if options.resume:
        run.resume()
    else:
        run.start()
    run.train(lambda line: print(line, flush=True))
    write_record(run, faces)

"""The command line of `python -m training`."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from typing import TYPE_CHECKING, Any, get_args

from serenbox.cli.common import EXIT_CLOSED_PIPE, EXIT_INTERRUPTED, abandon_output, printable
from serenbox.errors import SerenBoxError
from serenbox.runtime import Runtime
from training.data import LabelSet, load_faces
from training.errors import TerminatedError, TrainingError, refusal_of
from training.files import CHECKPOINT, check_writable, write_atomically
from training.fit_command import add_fit
from training.labels import SPLITS
from training.options import (
    EXPONENTS,
    MARGINS,
    add_command,
    add_data_options,
    add_out_option,
    lift_option,
    part_option,
    path_option,
    whole_option,
)
from training.quiet import check_streams, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = "python -m training"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 after Ctrl-C and 143 after SIGTERM (a
        training run can be resumed after both), 141 if the reader of the output has gone.

    """
    options = _parser().parse_args(arguments)
    options.program = PROGRAM
    options.arguments = sys.argv[1:] if arguments is None else arguments
    command: Callable[[argparse.Namespace], int | None] = options.command
    try:
        check_streams()
        status = command(options) or 0
        sys.stdout.flush()
    except (TrainingError, SerenBoxError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        advice = "install the workstation's tools with `pip install -e '.[training]'`"
        print(f"{PROGRAM}: error: {error.name} is not installed: {advice}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has closed the pipe
        abandon_output()
        return EXIT_CLOSED_PIPE
    except OSError as error:
        abandon_output()  # it may be what cannot be written
        print(f"{PROGRAM}: error: {refusal_of(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped{_going_on(options)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except TerminatedError:
        print(f"{PROGRAM}: told to stop{_going_on(options)}", file=sys.stderr)
        return 143
    return status


def _going_on(options: argparse.Namespace) -> str:
    """Return a hint on how to resume; empty unless `fit` has left a checkpoint."""
    begun = "resume" in options and (options.out / CHECKPOINT).exists()
    return "; --resume goes on after the last whole epoch" if begun else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Train and measure the network.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_fit(commands)
    _add_evaluate(commands)
    _add_prior(commands)
    _add_crop(commands)
    _add_robustness(commands)
    _add_average(commands)
    _add_tabulate(commands)
    return parser


def _add_evaluate(commands: Any) -> None:
    parser = add_command(commands, "evaluate", "measure a model", _evaluate)
    parser.add_argument("model", type=path_option, metavar="MODEL", help="a .keras or .tflite file")
    add_data_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="PublicTest", help="default: PublicTest")
    add_out_option(parser, "write the figures, the answers and pictures of them")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--runtime",
        choices=get_args(Runtime),
        default="auto",
        help="what runs a .tflite (default: auto)",
    )
    parser.add_argument(
        "--scores-as",
        type=path_option,
        metavar="FILE",
        help="score a .keras with the labels, temperature, prior and thresholds of this .tflite",
    )
    _add_prior_exponent(parser)


def _add_prior_exponent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prior-exponent",
        type=float,
        metavar="E",
        help="how much of the class prior to put back, 0 to what training kept out, at most 1 "
        "(default: what a .tflite says; for a .keras all that its training kept out)",
    )


def _evaluate(options: argparse.Namespace) -> None:
    """Measure a model on one split, with the same program for .keras and .tflite."""
    from training.evaluate import evaluate, summary, write_evaluation
    from training.predict import predict

    if options.out:
        check_writable(options.out)
    everything = load_faces(options.data, options.ferplus)
    faces = everything.select(options.split)
    prediction = predict(
        options.model,
        faces.images,
        runtime=options.runtime,
        scores_as=options.scores_as,
        prior_exponent=options.prior_exponent,
    )
    known = options.split != "Training" and "Training" in everything.splits
    shown = everything.shown_in_training(options.split) if known else None
    report = evaluate(faces, prediction, shown)
    if options.out:
        write_evaluation(options.out, report, faces, prediction.scores)
    print(json.dumps(report, indent=2) if options.json else summary(report))


def _add_prior(commands: Any) -> None:
    parser = add_command(commands, "prior", "measure how much class prior to put back", _prior)
    parser.add_argument("model", type=path_option, metavar="MODEL", help="a .keras or .tflite file")
    add_data_options(parser)
    parser.add_argument(
        "--exponents",
        type=float,
        nargs="+",
        metavar="E",
        help="exponents to try, 0 to 1, as far as training kept the prior out "
        f"(default: {_listed(EXPONENTS)})",
    )


def _prior(options: argparse.Namespace) -> None:
    """Show accuracy and recalls on PublicTest for several exponents of the class prior."""
    from training.predict import predict
    from training.prior_sweep import sweep_prior

    faces = load_faces(options.data, options.ferplus).select("PublicTest")
    label_set: LabelSet = "ferplus" if options.ferplus else "fer2013"
    prediction = predict(options.model, faces.images)
    for line in sweep_prior(faces, prediction, label_set, options.exponents):
        print(line)


def _listed(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


def _add_crop(commands: Any) -> None:
    parser = add_command(commands, "crop", "measure crop geometries on photographs", _crop)
    parser.add_argument("model", type=path_option, metavar="MODEL", help="a .tflite file")
    parser.add_argument(
        "--photos",
        type=path_option,
        required=True,
        metavar="DIR",
        help="photographs in DIR/<emotion>/",
    )
    for name, kind, default, text in (
        (
            "margins",
            part_option,
            MARGINS,
            "margins to try, as a fraction of the face's longer side",
        ),
        ("lifts", lift_option, (0.0,), "lifts to try, as a fraction of the crop's side"),
        ("resolutions", whole_option(8, 1024), (48,), "resolutions to try, pixels"),
    ):
        parser.add_argument(
            f"--{name}",
            type=kind,
            nargs="+",
            default=default,
            help=f"{text} (default: {_listed(default)})",
        )
    parser.add_argument(
        "--eyes",
        choices=("level", "as-they-are"),
        nargs="+",
        default=("level",),
        help="whether to level the eyes (default: level)",
    )
    _add_prior_exponent(parser)


def _crop(options: argparse.Namespace) -> None:
    """Crop the faces of labelled photographs in several ways; show the agreement of each."""
    from serenbox.crop import CropSpec
    from training.crop_sweep import sweep_crop

    specs = [
        CropSpec(margin, eyes == "level", resolution, lift)
        for resolution, eyes, lift, margin in itertools.product(
            options.resolutions, options.eyes, options.lifts, options.margins
        )
    ]
    for line in sweep_crop(options.model, options.photos, specs, options.prior_exponent):
        print(line, flush=True)


def _add_robustness(commands: Any) -> None:
    parser = add_command(commands, "robustness", "measure a model on changed faces", _robustness)
    parser.add_argument("model", type=path_option, metavar="MODEL", help="a .keras or .tflite file")
    add_data_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="PublicTest", help="default: PublicTest")
    add_out_option(parser, "write robustness.csv and robustness.png")
    _add_prior_exponent(parser)


def _robustness(options: argparse.Namespace) -> None:
    """Measure a model on faces that are moved, resized, turned, small, dark or noisy."""
    with quiet():  # TensorFlow prints start-up messages
        from training.robustness import CHANGES, largest_drop, trials_csv, try_changes

    if options.out:
        check_writable(options.out)
    faces = load_faces(options.data, options.ferplus).select(options.split)
    label_set: LabelSet = "ferplus" if options.ferplus else "fer2013"
    trials = []
    for trial in try_changes(options.model, faces, label_set, options.prior_exponent):
        trials.append(trial)
        print(
            f"{trial.change} {trial.amount:g} {CHANGES[trial.change].unit}: accuracy "
            f"{trial.accuracy:.2%}, macro-recall {trial.macro_recall:.2%}",
            flush=True,
        )
    drop, worst = largest_drop(trials)
    print(f"largest drop: {100 * drop:.1f} points, {worst.change} {worst.amount:g}")
    if options.out:
        from training.plots import draw_robustness

        title = f"{printable(options.model.name)} on {options.split}"
        write_atomically(options.out / "robustness.csv", trials_csv(trials).encode())
        write_atomically(options.out / "robustness.png", draw_robustness(trials, title))


def _add_average(commands: Any) -> None:
    parser = add_command(commands, "average", "make one network of several runs", _average)
    parser.add_argument("runs", type=path_option, nargs="+", metavar="DIR", help="folders of runs")
    add_data_options(parser)
    add_out_option(parser, "a new folder", required=True)


def _average(options: argparse.Namespace) -> None:
    """Average the weights of finished runs that started from the same network.

    Batch normalization statistics are estimated on faces augmented as in the last of these runs.
    """
    with quiet():  # TensorFlow prints start-up messages
        from training.soup import average_runs

    average_runs(options.runs, load_faces(options.data, options.ferplus), options.out)
    print(f"the mean of {len(options.runs)} runs is in {options.out}")


def _add_tabulate(commands: Any) -> None:
    parser = add_command(commands, "tabulate", "put finished runs into a table", _tabulate)
    parser.add_argument("runs", type=path_option, nargs="+", metavar="DIR", help="folders of runs")
    add_data_options(parser)
    parser.add_argument(
        "--table", type=path_option, required=True, metavar="FILE", help="a CSV file"
    )


def _tabulate(options: argparse.Namespace) -> None:
    """Measure finished runs on PublicTest and put a row for each into a table."""
    with quiet():  # TensorFlow prints start-up messages
        from training.results import tabulate

    faces = load_faces(options.data, options.ferplus)
    for name in tabulate(options.table, options.runs, faces):
        print(f"{name}: now in {options.table}")

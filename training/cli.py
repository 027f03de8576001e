"""The command line of `python -m training`."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from serenbox.runtime import Runtime
from training.cluster import choose_engine, join, losing_no_machine, read_cluster
from training.data import LabelSet, describe, load_faces
from training.errors import RunError, TrainingError
from training.files import CHECKPOINT, MODEL, RECORD, local_path
from training.labels import SPLITS
from training.quiet import quiet
from training.supervise import end_with_parent, is_child, supervise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.cluster import Cluster

PROGRAM = "python -m training"

MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Crop margins that `crop` tries by itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 could not be done, 2 wrong usage, 130 after Ctrl-C and 143 after
        SIGTERM, from which a run goes on.

    """
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    command: Callable[[argparse.Namespace], int | None] = options.command
    try:
        return command(options) or 0
    except TrainingError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        advice = "install the workstation's tools with `pip install -e '.[training]'`"
        print(f"{PROGRAM}: error: {error.name} is not installed: {advice}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; go on with --resume", file=sys.stderr)
        return 130
    except _TerminatedError:
        print(f"{PROGRAM}: told to end; go on with --resume", file=sys.stderr)
        return 143


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Train and measure the network.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands)
    _add_evaluate(commands)
    _add_prior(commands)
    _add_crop(commands)
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where FER2013 and FER+ are."""
    parser.add_argument(
        "--data",
        type=_path,
        required=True,
        metavar="PATH",
        help="fer2013.csv (plain, .gz or .xz) or Kaggle's folder with train/ and test/",
    )
    parser.add_argument(
        "--ferplus", type=_path, metavar="FILE", help="FER+'s votes (fer2013new.csv)"
    )


def _path(text: str) -> Path:
    try:
        return local_path(text)
    except RunError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _weights(text: str) -> str:
    return str(_path(text))


def _add_fit(commands: Any) -> None:
    parser = commands.add_parser("fit", help="train a network", description=_fit.__doc__)
    parser.set_defaults(command=_fit)
    add_data_options(parser)
    model_folder = os.environ.get("AIP_MODEL_DIR") or None
    parser.add_argument(
        "--out",
        type=_path,
        default=model_folder,
        required=model_folder is None,
        metavar="DIR",
        help="folder of the run (default: $AIP_MODEL_DIR, which Vertex AI sets)",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        choices=("there", "auto"),
        const="there",
        help="go on after the last whole epoch in --out; with --resume=auto begin where there is "
        "none, and be content where the run is finished: for jobs that are started again and again",
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
        ("weights", _weights, "where to begin: imagenet, a .weights.h5 or .keras file, or none"),
        ("epochs", int, "passes over the training faces"),
        ("small-epochs", int, "how many of them, first, run at --small-size"),
        ("small-size", int, "side of the input in those"),
        ("batch-size", int, "faces per step"),
        ("learning-rate", float, "peak learning rate of AdamW"),
        ("weight-decay", float, "weight decay of AdamW"),
        ("ema", float, "momentum of the average of weights"),
        ("dropout", float, "share of features dropped before the logits"),
        ("teacher-share", float, "how much of the targets is the teachers' answer"),
        ("balance", float, "exponent of the class prior in the loss, 0 to 1"),
        ("label-smoothing", float, "share of every target spread over all classes"),
        ("seed", int, "seed of everything random"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS, help=text)
    parser.add_argument(
        "--teacher",
        type=_weights,
        nargs="+",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="networks of earlier runs, .keras, whose averaged answers are learnt, too",
    )


def _fit(options: argparse.Namespace) -> int:
    """Train a network; writes model.keras, history.csv, curves.png and run.json into --out.

    Where TF_CONFIG or CLUSTER_SPEC names several machines, they train together on JAX, each of
    them started with the same command; the first writes.
    """
    cluster = read_cluster(os.environ)
    choose_engine(cluster)
    if is_child():
        end_with_parent()
    elif cluster.size > 1:
        return supervise(options.arguments, PROGRAM)
    signal.signal(signal.SIGTERM, _terminate)
    with quiet():  # TensorFlow greets
        from training.checkpoint import check_same_run
        from training.fit import FitSettings, Run
        from training.record import write_record

    values = vars(options)
    values.setdefault("label_set", "ferplus" if options.ferplus else "fer2013")
    values["teacher"] = tuple(values.get("teacher", ()))
    names = {field.name for field in dataclasses.fields(FitSettings)}
    settings = FitSettings(**{name: value for name, value in values.items() if name in names})
    resume = _check_folder(options.out, options.resume)
    faces = load_faces(options.data, options.ferplus)
    if resume and (options.out / RECORD).exists():
        check_same_run(options.out, dataclasses.asdict(settings))
        print(f"{options.out} already holds the finished model of this run")
        return 0
    report = _reporter(cluster)
    for line in describe(faces):
        report(line)
    join(cluster)
    with losing_no_machine(cluster):
        run = Run(faces, settings, options.out, cluster)
        if resume:
            run.resume()
        else:
            run.start()
        run.train(report)
        write_record(run, faces)
    return 0


class _TerminatedError(BaseException):
    """Whoever runs the program asks it to end; like Ctrl-C nothing to be handled on the way."""


def _terminate(*_: object) -> None:
    raise _TerminatedError


def _reporter(cluster: Cluster) -> Callable[[str], None]:
    """Give what prints a line; of several machines only the chief speaks."""

    def report(line: str) -> None:
        if cluster.chief:
            print(line, flush=True)

    return report


def _check_folder(folder: Path, resume: str | None) -> bool:
    """Make the run's folder; refuse to overwrite what a run left there.

    Returns:
        Whether to go on with what is there.

    """
    begun = (folder / CHECKPOINT).exists()
    if (folder / MODEL).exists() and not (begun and resume == "auto"):
        msg = f"{folder} already holds a finished model; give --out another folder"
        raise RunError(msg)
    if begun and not resume:
        msg = f"{folder} holds an unfinished run; go on with --resume, or give another folder"
        raise RunError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}; give --out another folder"
        raise RunError(msg) from error
    return begun or resume == "there"


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="measure a model", description=_evaluate.__doc__)
    parser.set_defaults(command=_evaluate)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .keras or .tflite file")
    add_data_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="PublicTest", help="default: PublicTest")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write evaluation.json, answers.csv, confusion.png"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--runtime",
        choices=get_args(Runtime),
        default="auto",
        help="what runs a .tflite (default: auto)",
    )
    parser.add_argument(
        "--scores-as",
        type=Path,
        metavar="FILE",
        help="score a .keras with the temperature, prior and thresholds of this .tflite",
    )
    parser.add_argument(
        "--prior-exponent", type=float, metavar="E", help="in place of the model's own, 0 to 1"
    )


def _evaluate(options: argparse.Namespace) -> None:
    """Measure a model on one split, with the same program for .keras and .tflite."""
    from training.evaluate import evaluate, summary, write_evaluation
    from training.predict import predict

    faces = load_faces(options.data, options.ferplus).select(options.split)
    prediction = predict(
        options.model,
        faces.images,
        runtime=options.runtime,
        scores_as=options.scores_as,
        prior_exponent=options.prior_exponent,
    )
    report = evaluate(faces, prediction)
    if options.out:
        write_evaluation(options.out, report, faces, prediction.scores)
    print(json.dumps(report, indent=2) if options.json else summary(report))


def _add_prior(commands: Any) -> None:
    parser = commands.add_parser(
        "prior", help="measure how much class prior to put back", description=_prior.__doc__
    )
    parser.set_defaults(command=_prior)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .keras or .tflite file")
    add_data_options(parser)
    parser.add_argument(
        "--exponents",
        type=float,
        nargs="+",
        default=[0.0, 0.25, 0.5, 0.75, 0.9, 1.0],
        metavar="E",
        help="exponents to try, 0 to 1",
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


def _add_crop(commands: Any) -> None:
    parser = commands.add_parser(
        "crop", help="measure crop geometries on photographs", description=_crop.__doc__
    )
    parser.set_defaults(command=_crop)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    parser.add_argument(
        "--photos", type=Path, required=True, metavar="DIR", help="photographs in DIR/<emotion>/"
    )
    for name, kind, default, text in (
        ("margins", float, MARGINS, "margins to try, as a part of the face's longer side"),
        ("lifts", float, (0.0,), "lifts to try, as a part of the crop's side"),
        ("resolutions", int, (48,), "resolutions to try, pixels"),
    ):
        parser.add_argument(f"--{name}", type=kind, nargs="+", default=default, help=text)
    parser.add_argument(
        "--eyes",
        choices=("level", "as-they-are"),
        nargs="+",
        default=("level",),
        help="whether to level the eyes",
    )


def _crop(options: argparse.Namespace) -> None:
    """Crop the faces of labelled photographs in several ways; tell the agreement of each."""
    from serenbox.crop import CropSpec
    from training.crop_sweep import sweep_crop

    specs = [
        CropSpec(margin, eyes == "level", resolution, lift)
        for resolution, eyes, lift, margin in itertools.product(
            options.resolutions, options.eyes, options.lifts, options.margins
        )
    ]
    for line in sweep_crop(options.model, options.photos, specs):
        print(line, flush=True)

"""The command `fit` of `python -m training`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
from typing import TYPE_CHECKING, Any, get_args

from serenbox.errors import reason_of
from training.cluster import choose_engine, read_cluster
from training.data import LabelSet, describe, load_faces
from training.distribute import join, losing_no_machine
from training.errors import RunError, terminate
from training.files import CHECKPOINT, MODEL, RECORD, check_writable, remove_parts
from training.fit_settings import Augmentation, Backbone, FitSettings
from training.options import add_command, add_data_options, file_option, path_option
from training.quiet import quiet
from training.supervise import end_with_parent, is_child, supervise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.cluster import Cluster


def add_fit(commands: Any) -> None:
    """Add `fit` to the subparsers `commands`."""
    parser = add_command(commands, "fit", "train a network", _fit)
    add_data_options(parser)
    model_folder = os.environ.get("AIP_MODEL_DIR") or None
    parser.add_argument(
        "--out",
        type=path_option,
        default=model_folder,
        required=model_folder is None,
        metavar="DIR",
        help="folder of the run; may be left out if $AIP_MODEL_DIR names it, as on Vertex AI",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        choices=("there", "auto"),
        const="there",
        help="go on after the last whole epoch in --out; with --resume=auto, begin if there is "
        "none, and do nothing if the run is finished: for jobs that may be restarted at any time",
    )
    parser.add_argument(
        "--labels",
        dest="label_set",
        choices=get_args(LabelSet),
        default=argparse.SUPPRESS,
        help="whose labels to learn (default: ferplus if --ferplus is given, else fer2013)",
    )
    parser.add_argument(
        "--backbone",
        choices=get_args(Backbone),
        default=argparse.SUPPRESS,
        help=f"the network before the logits (default: {FitSettings.backbone})",
    )
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    for name, kind, text in (
        ("size", int, "side of the input in pixels, a multiple of 32"),
        ("alpha", float, "width multiplier of the backbone"),
        (
            "weights",
            file_option,
            "what to start from: imagenet, a .weights.h5 or .keras file, FaceRes's .json, or none",
        ),
        ("epochs", int, "passes over the training faces"),
        ("small-epochs", int, "how many of the first, at most all, run at --small-size"),
        ("small-size", int, "side of the input in those"),
        ("batch-size", int, "faces per step"),
        ("learning-rate", float, "peak learning rate of AdamW"),
        ("weight-decay", float, "weight decay of AdamW"),
        ("ema", float, "momentum of the average of weights"),
        ("sharpness", float, "radius of sharpness-aware minimization, two gradients a step"),
        ("dropout", float, "share of features dropped before the logits"),
        ("teacher-share", float, "how much of the targets is the teachers' answer"),
        ("balance", float, "exponent of the class prior in the loss, 0 to 1"),
        ("seed", int, "seed of everything random"),
    ):
        _add_setting(parser, name, kind, text, FitSettings)
    variation = parser.add_argument_group("how faces are varied")
    for name, text in (
        ("rotation", "largest turn to either side, degrees"),
        ("scale", "largest relative change of size"),
        ("shift", "largest move along each axis, as a share of the side"),
        ("contrast", "largest relative change of contrast"),
        ("brightness", "largest change of brightness, grey levels"),
        ("blur", "share of the faces that lose resolution"),
        ("noise", "share of the faces that get noise"),
        ("occlusion", "share of the faces that have a patch covered"),
        ("mixup", "share of the faces that are blended with another"),
    ):
        _add_setting(variation, name, float, text, Augmentation)
    parser.add_argument(
        "--teacher",
        type=file_option,
        nargs="+",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="networks of earlier runs, .keras, whose averaged answers are learnt as well",
    )


def _add_setting(
    parser: argparse._ActionsContainer,
    name: str,
    kind: Callable[[str], Any],
    text: str,
    settings: type[FitSettings | Augmentation],
) -> None:
    """Add an option whose help shows the default of `settings`, which applies if it is omitted."""
    default = getattr(settings, name.replace("-", "_"))
    text = f"{text} (default: {default})"
    parser.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS, help=text)


def _fit(options: argparse.Namespace) -> int:
    """Train a network and write model.keras, history.csv, curves.png and run.json into --out.

    If TF_CONFIG or CLUSTER_SPEC names several machines, they train together on JAX. Start the same
    command on each of them; only the first one writes.
    """
    cluster = read_cluster(os.environ)
    choose_engine(cluster)
    if is_child():
        end_with_parent()
    elif cluster.size > 1:
        return supervise(options.arguments, options.program)
    signal.signal(signal.SIGTERM, terminate)
    settings = _settings(options)
    with quiet():  # TensorFlow prints start-up messages
        from training.checkpoint import check_same_run
        from training.fit import Run
        from training.origin import origin_of
        from training.record import check_same_data, write_record

    resume = _check_folder(options.out, options.resume)
    if resume and _is_finished(options.out):
        check_same_run(options.out, {**dataclasses.asdict(settings), **origin_of(settings)})
        check_same_data(options.out, options.data, options.ferplus)
        print(f"{options.out} already holds the finished model of this run")
        return 0
    faces = load_faces(options.data, options.ferplus)
    report = _reporter(cluster)
    for line in describe(faces):
        report(line)
    if cluster.chief:
        check_writable(options.out)
        remove_parts(options.out)
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


def _settings(options: argparse.Namespace) -> FitSettings:
    values = vars(options)
    values.setdefault("label_set", "ferplus" if options.ferplus else "fer2013")
    values["teacher"] = tuple(values.get("teacher", ()))
    if values.get("epochs", FitSettings.epochs) < FitSettings.small_epochs:
        values.setdefault("small_epochs", values["epochs"])
    if "teacher_share" in values and not values["teacher"]:
        msg = "--teacher-share needs --teacher: give both or neither"
        raise RunError(msg)
    values["augmentation"] = Augmentation(**_given(values, Augmentation))
    return FitSettings(**_given(values, FitSettings))


def _given(values: dict[str, Any], settings: type[Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(settings)}
    return {name: value for name, value in values.items() if name in names}


def _reporter(cluster: Cluster) -> Callable[[str], None]:
    """Return a function that prints a line, if this machine is the chief."""

    def report(line: str) -> None:
        if cluster.chief:
            print(line, flush=True)

    return report


def _is_finished(folder: Path) -> bool:
    """Return whether the run in a folder is finished.

    The record is written last: a run that left a checkpoint and a model only was interrupted. The
    record alone may be left over from an earlier run.
    """
    return (folder / MODEL).exists() and (folder / RECORD).exists()


def _check_folder(folder: Path, resume: str | None) -> bool:
    """Create the run's folder; refuse to overwrite an earlier run.

    Returns:
        Whether to resume the run in it.

    """
    begun = (folder / CHECKPOINT).exists()
    finished = _is_finished(folder) if begun else (folder / MODEL).exists()
    if finished and not (begun and resume == "auto"):
        msg = f"{folder} already holds a finished model; give --out another folder"
        raise RunError(msg)
    if not begun and (folder / RECORD).exists():
        msg = (
            f"{folder} holds the {RECORD} of another run, without its {MODEL}; move it away, or "
            "give --out another folder"
        )
        raise RunError(msg)
    if begun and not resume:
        msg = f"{folder} holds an unfinished run; go on with --resume, or give another folder"
        raise RunError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made: {reason_of(error)}; give --out another folder"
        raise RunError(msg) from error
    return begun or resume == "there"

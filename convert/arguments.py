"""The command line of `python -m convert`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from convert.errors import InputError
from convert.options import DEFAULT_CROP, SCALES, USUAL_PART, Options
from serenbox.model_file import CropSpec
from serenbox.results import EMOTIONS
from training.options import lift_option, number_option, part_option, whole_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = "python -m convert"

_DESCRIPTION = """\
Turn a trained Keras model into the one int8 .tflite file a device needs, with everything the device
must know inside it, and check that it still answers like the original. With --inspect, show what
such a file says about itself.
"""

_EPILOG = """\
Exit codes: 0 done; 1 the result is refused (nothing is written); 2 wrong usage or unusable input.
"""

_DEFAULTS = {field.name: field.default for field in fields(Options)}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        SystemExit: The command line is wrong (code 2), or asks for help (code 0).

    """
    return _parser().parse_args(_join_scale(arguments))


def to_options(parsed: argparse.Namespace) -> Options:
    """Turn a parsed command line into the options of a conversion.

    Raises:
        InputError: A path that it names does not exist, or `--data` is missing.

    """
    if not parsed.model.is_file():
        raise InputError(f"{parsed.model} does not exist or is not a file: give a .keras file")
    if parsed.data is None:
        raise InputError(
            "without --data there are no faces to calibrate and check the model on, and an int8 "
            "file made without them would only look like a model: give FER2013 with --data"
        )
    for path in (parsed.data, parsed.ferplus):
        if path is not None and not path.exists():
            raise InputError(f"{path} does not exist: give the path of the data set")
    if parsed.network is not None and parsed.fine_tune:
        raise InputError(
            "--network takes a network as it is, and --fine-tune would train it: leave one out"
        )
    values = {key: value for key, value in vars(parsed).items() if key in _DEFAULTS}
    values["out"] = parsed.out or parsed.model.with_suffix(".tflite")
    values["crop"] = CropSpec(parsed.margin, parsed.level_eyes, parsed.resolution, parsed.lift)
    return Options(**values)


def _join_scale(arguments: Sequence[str]) -> list[str]:
    """Join `--scale -1..1` into one word: argparse would read `-1..1` as an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--scale":
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument(
        "model", type=Path, nargs="?", metavar="MODEL.keras", help="what to convert"
    )
    parser.add_argument(
        "out",
        type=Path,
        nargs="?",
        metavar="OUT.tflite",
        help="where to write it (default: beside the model, with the suffix .tflite)",
    )
    parser.add_argument(
        "--inspect", type=Path, metavar="FILE.tflite", help="show what a finished file holds"
    )
    parser.add_argument("--json", action="store_true", help="with --inspect: as JSON")
    _add_data(parser)
    _add_model(parser)
    _add_scores(parser)
    _add_metadata(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data, to calibrate, fit and check on")
    group.add_argument(
        "--data", type=Path, metavar="PATH", help="fer2013.csv (plain, .gz, .xz) or Kaggle's folder"
    )
    group.add_argument(
        "--ferplus", type=Path, metavar="FILE", help="FER+'s votes: its majority is then the truth"
    )
    _add(
        group,
        "--calibration-images",
        whole_option(1, 28_709),
        "N",
        "faces of the Training split to calibrate on, the classes as balanced as the data allow",
    )
    text = (
        "train the weights to make up for the effects of int8, on this many batches of 64 faces, "
        "so that the result answers as the original does"
    )
    _add(group, "--fine-tune", whole_option(0, 100_000), "STEPS", text)
    text = (
        "take the int8 network of this finished file, made from the same model, as it is, and fit "
        "only the scores anew"
    )
    group.add_argument("--network", type=Path, metavar="FILE.tflite", help=text)
    text = "refuse a result that loses more accuracy than this, in percentage points"
    _add(group, "--max-drop", number_option, "POINTS", text)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("about the model")
    group.add_argument(
        "--scale",
        choices=SCALES,
        default=_DEFAULTS["scale"],
        help="pixel values the model was trained on; put inside the result (default: %(default)s)",
    )
    group.add_argument(
        "--labels",
        type=_labels,
        default=EMOTIONS,
        metavar="A,B,...",
        help=f"label of each output, in order (default: {','.join(EMOTIONS)})",
    )


def _add_scores(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scores and uncertainty")
    group.add_argument(
        "--prior-exponent",
        type=part_option,
        metavar="E",
        help="how much of the class prior of the training to put back: 0 all classes alike, 1 all "
        f"of it (default: {USUAL_PART:g} of what training kept out according to its run.json; 0 "
        "without one)",
    )
    _add(
        group,
        "--target-precision",
        part_option,
        "P",
        "how often a named emotion should be right; a label's threshold is the lowest that "
        "achieves this, but at least 0.4",
    )
    _add(
        group,
        "--max-uncertain",
        part_option,
        "P",
        "largest part of a label's faces that its threshold may call uncertain",
    )


def _add_metadata(parser: argparse.ArgumentParser) -> None:
    crop = DEFAULT_CROP
    group = parser.add_argument_group("what the device should do, and names")
    text = "space around the face, as a fraction of its longer side (default: %(default)s)"
    group.add_argument("--margin", type=part_option, default=crop.margin, metavar="PART", help=text)
    group.add_argument(
        "--no-level-eyes", dest="level_eyes", action="store_false", help="do not turn the face"
    )
    text = (
        "how far the crop moves towards the forehead, as a fraction of its side "
        "(default: %(default)s)"
    )
    group.add_argument("--lift", type=lift_option, default=crop.lift, metavar="PART", help=text)
    text = "side of the crop in pixels: the sharpness of the training faces (default: %(default)s)"
    size = whole_option(8, 1024)
    group.add_argument("--resolution", type=size, default=crop.resolution, metavar="N", help=text)
    _add(group, "--name", _text, "NAME", "name of the model")
    _add(group, "--version", _text, "VERSION", "version of the model")
    _add(group, "--license", _text, "SPDX", "licence of the model, as an SPDX expression")


def _add(
    group: argparse._ArgumentGroup,
    flag: str,
    kind: Callable[[str], object],
    metavar: str,
    text: str,
) -> None:
    """Add an option whose default comes from `Options`."""
    default = _DEFAULTS[flag.removeprefix("--").replace("-", "_")]
    group.add_argument(
        flag, type=kind, default=default, metavar=metavar, help=f"{text} (default: %(default)s)"
    )


def _text(text: str) -> str:
    if not text.strip():
        _refuse("it is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(f"{text!a} is not UTF-8 text, as the model file needs it")
    return text.strip()


def _labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(","))
    if sorted(labels) != sorted(EMOTIONS):
        _refuse(
            f"{text!r} must name each of {', '.join(EMOTIONS)} once, in the order of the model's "
            "outputs"
        )
    return labels


def _refuse(reason: str) -> NoReturn:
    raise argparse.ArgumentTypeError(reason)

"""Takes the int8 network of a finished file over, so that only its scores are fitted anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from convert.errors import InputError, RefusedError
from convert.flatbuffer import read_structure
from serenbox.errors import ModelError
from serenbox.model_file import load_model_file

if TYPE_CHECKING:
    from pathlib import Path

    from convert.options import Options
    from convert.source import FloatModel
    from convert.verify import Comparison
    from serenbox.model_file import ModelMetadata

_ALIKE = 0.95
"""Share of the faces on which a network must answer as its float model does. The shipped one, whose
weights were fine-tuned for int8, does so on 0.97 of those of *PublicTest*."""


class Network(NamedTuple):
    """An int8 network and how it was made."""

    content: bytes
    """The .tflite; metadata at its end are ignored."""
    made: dict[str, Any]
    """`calibration` and `fine_tuning`, for the metadata of the new file."""


def take_network(path: Path, options: Options, model: FloatModel) -> Network:
    """Read the int8 network of a file that was made from the same model.

    Raises:
        InputError: It cannot be read, or was made from a model of another shape or other labels.

    """
    try:
        content, metadata = load_model_file(path)
    except ModelError as error:
        raise InputError(f"--network: {error}") from error
    _check(path, content, metadata, options, model)
    made = {key: metadata.training.get(key) for key in ("calibration", "fine_tuning")}
    return Network(content, made)


def _check(
    path: Path, content: bytes, metadata: ModelMetadata, options: Options, model: FloatModel
) -> None:
    scale = metadata.training.get("scale", options.scale)  # older files do not name it
    (pixels,) = read_structure(content).inputs
    for what, theirs, ours in (
        ("labels", metadata.labels, options.labels),
        ("colour", metadata.input.color, model.color),
        ("scale", scale, options.scale),
        ("size", pixels.shape[1], model.size),
    ):
        if theirs != ours:
            raise InputError(
                f"--network {path} was made with the {what} {_text(theirs)}, and {options.model} "
                f"is to be converted with {_text(ours)}: give a file made from the same model"
            )


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def check_same_model(path: Path, comparison: Comparison) -> None:
    """Refuse a network that hardly answers as the float model does.

    Raises:
        RefusedError: It must have been made from another model.

    """
    if comparison.agreement < _ALIKE:
        raise RefusedError(
            f"--network {path} and the model give the same answer on only "
            f"{comparison.agreement:.1%} of the faces, so it was made from another model: give "
            "the one that it was made from; nothing was written"
        )

"""The conversion, step by step.

Import TensorFlow through `training.quiet` before this module, to silence its messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.calibrate import calibration_faces
from convert.errors import RefusedError
from convert.finished import Network, check_same_model, take_network
from convert.flatbuffer import read_structure
from convert.opcheck import OLDEST_RUNTIME, check_integers, check_operators
from convert.options import USUAL_PART
from convert.output import check_writable, replaced_when_good
from convert.provenance import chosen_exponent, class_prior, kept_out, read_run
from convert.quantize import quantize
from convert.record import how_made, make_metadata
from convert.scoring import SPLIT, fit_scores, make_exam, shift_to_majority, truth_of
from convert.source import load_float_model
from convert.verify import (
    Comparison,
    check_drop,
    check_oldest_runtime,
    compare,
    int8_logits,
    read_back,
)
from serenbox.model_file import append_metadata
from training.data import load_faces, training_faces
from training.files import RECORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.options import Options
    from convert.scoring import Exam
    from convert.source import FloatModel
    from serenbox.model_file import ModelMetadata, ScoreSpec
    from training.data import Faces


DOUBTFUL_ACCURACY = 0.4
"""The weakest published models of FER2013 are right on more than half of the faces."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion."""

    metadata: ModelMetadata
    comparison: Comparison
    size: int
    """Bytes of the file."""


@dataclass(frozen=True, eq=False)
class Material:
    """Everything a conversion starts from."""

    model: FloatModel
    faces: Faces
    """The whole data set."""
    calibration: NDArray[np.uint8]
    """(n, 48, 48) faces to calibrate on."""
    training: Faces
    """The faces to fine-tune on, and to fit the shift on."""
    exam: Exam
    """The faces to fit and measure on."""
    run: dict[str, Any]
    """Record of the training run; empty if there is none."""
    prior_exponent: float
    """How much of the class prior is put back, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The answers of the float and the int8 model to the exam, and how they are scored."""

    float_logits: NDArray[np.float32]
    int8_logits: NDArray[np.float32]
    scores: ScoreSpec
    comparison: Comparison
    """On all faces of the exam."""
    without_duplicates: Comparison


def convert(options: Options, say: Callable[[str], None]) -> Converted:
    """Convert a model; the file appears only at the end, whole and checked.

    Args:
        options: What to convert, where to, and how.
        say: Called with one line of text whenever a step begins or has something to report.

    Raises:
        ConversionError: The input cannot be used, or the result is refused.
        DataError: The data cannot be used.
        ModelError: The finished file cannot be read back.

    """
    check_writable(options.out, options.model)
    material = gather(options, say)
    network = _int8_network(options, material, say)
    measured = _measure(options, material, network.content, say)
    if options.network is not None:
        check_same_model(options.network, measured.comparison)
    check_drop(measured.comparison, options.max_drop, options.fine_tune)
    metadata = make_metadata(options, material, measured, network.made)
    content = append_metadata(network.content, metadata)
    say("reading the finished file back as a device does")
    with replaced_when_good(options.out) as temporary:
        temporary.write_bytes(content)
        if not np.array_equal(read_back(temporary, material.exam.images), measured.int8_logits):
            raise RefusedError("the finished file does not answer as it did before it was written")
    return Converted(metadata, measured.comparison, len(content))


def gather(options: Options, say: Callable[[str], None]) -> Material:
    """Read the model, its record and the data, and choose the faces."""
    run = read_run(options.model)
    exponent = chosen_exponent(options.prior_exponent, run)
    if options.prior_exponent is None and kept_out(run) is None:
        say(
            f"no {RECORD} beside the model says how it was trained: no class prior is put "
            f"back; give --prior-exponent {USUAL_PART:g} if its logits are without it, as those of "
            "`fit` are"
        )
    say(f"reading {options.model}")
    model = load_float_model(options.model, options.scale, len(options.labels))
    say(f"reading the faces in {options.data}")
    faces = load_faces(options.data, options.ferplus)
    return Material(
        model=model,
        faces=faces,
        calibration=calibration_faces(faces, options.label_set, options.calibration_images),
        training=training_faces(faces, options.label_set),
        exam=make_exam(faces, options.label_set, options.labels),
        run=run,
        prior_exponent=exponent,
    )


def _int8_network(options: Options, material: Material, say: Callable[[str], None]) -> Network:
    if options.network is not None:
        say(f"taking the network of {options.network}")
        network = take_network(options.network, options, material.model)
    else:
        network = Network(_quantize(options, material, say), how_made(options, material))
    structure = read_structure(network.content)
    check_operators(structure)
    check_integers(structure)
    untried = check_oldest_runtime(network.content)
    tried = "it opens there" if untried is None else f"not tried there: {untried}"
    say(f"every operation is known to {OLDEST_RUNTIME} ({tried})")
    return network


def _quantize(options: Options, material: Material, say: Callable[[str], None]) -> bytes:
    count = len(material.calibration)
    say(f"converting to int8, calibrating on {count} faces of the Training split (takes a while)")
    faces = material.training.images
    return quantize(material.model, material.calibration, faces, options.fine_tune, say)


def _doubt(
    logits: NDArray[np.float32],
    prior: tuple[float, ...],
    material: Material,
    say: Callable[[str], None],
) -> None:
    """Warn if the original model is hardly ever right.

    No shift is added: it is fitted to make the most of any answers, also of those that wrong
    labels make meaningless.
    """
    answers = (logits + material.prior_exponent * np.log(np.array(prior))).argmax(axis=1)
    accuracy = float((answers == material.exam.truth).mean())
    if accuracy < DOUBTFUL_ACCURACY:
        say(
            f"warning: the original model itself is right on only {accuracy:.1%} of the faces; are "
            "--scale and --labels those it was trained with?"
        )


def _measure(
    options: Options, material: Material, tflite: bytes, say: Callable[[str], None]
) -> Measured:
    model, exam = material.model, material.exam
    prior = class_prior(material.run, material.faces, options.label_set, options.labels)
    before = model.logits(exam.images)
    _doubt(before, prior, material, say)
    shift: tuple[float, ...] = ()
    if options.label_set == "ferplus":
        train = material.training
        say(f"fitting the shift to the majority on {len(train)} faces of the Training split")
        truth = truth_of(train, options.label_set, options.labels)
        known = kept_out(material.run)
        exponent = material.prior_exponent if known is None else known
        logits = int8_logits(tflite, model, train.images)
        shift = shift_to_majority(logits, truth, prior, exponent)
    say(f"comparing float and int8 on {len(exam.images)} faces of {SPLIT}")
    after = int8_logits(tflite, model, exam.images)
    scores = fit_scores(after, exam, options, prior, material.prior_exponent, shift)

    def compared(chosen: NDArray[np.bool_]) -> Comparison:
        truth = exam.truth[chosen]
        return compare(before[chosen], after[chosen], truth, scores, options.labels)

    return Measured(
        float_logits=before,
        int8_logits=after,
        scores=scores,
        comparison=compared(np.ones(len(exam.images), np.bool_)),
        without_duplicates=compared(~exam.duplicate),
    )

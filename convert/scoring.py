"""Fits how logits become scores: a shift on Training, temperature and thresholds on PublicTest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError, RefusedError
from convert.majority import fit_shift
from convert.thresholds import fit_temperature, fit_thresholds
from serenbox.classifier import scores_from_logits
from serenbox.model_file import ScoreSpec
from serenbox.model_metadata import MOST_SHIFT
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.options import Options
    from training.data import Faces, LabelSet

SPLIT = "PublicTest"
"""FER2013's validation split. PrivateTest is kept for one unbiased figure at the end."""


@dataclass(frozen=True, eq=False)
class Exam:
    """The faces a model is fitted and measured on, and the right answers."""

    images: NDArray[np.uint8]
    """(n, 48, 48) grey."""
    truth: NDArray[np.int64]
    """(n,) index into the model's labels."""
    duplicate: NDArray[np.bool_]
    """(n,) whether the same pixels occur in another split or earlier in this one."""


def make_exam(faces: Faces, label_set: LabelSet, labels: tuple[str, ...]) -> Exam:
    """Take the faces of PublicTest that have a right answer.

    Args:
        faces: The whole data set.
        label_set: Whose labels are right.
        labels: The model's labels, in its order.

    Raises:
        DataError: There is no such face.
        InputError: A class has no face, or every face is a duplicate.

    """
    chosen = faces.select(SPLIT)
    if label_set == "ferplus":
        chosen = chosen[chosen.usable]
    truth = truth_of(chosen, label_set, labels)
    missing = [label for index, label in enumerate(labels) if not (truth == index).any()]
    if missing:
        raise InputError(
            f"the data's {SPLIT} split has no face of {', '.join(missing)}: thresholds are fitted "
            "for every label, so give the whole of FER2013"
        )
    if chosen.duplicate.all():
        raise InputError(f"every face of the data's {SPLIT} split also occurs elsewhere")
    return Exam(chosen.images, truth, chosen.duplicate)


def truth_of(faces: Faces, label_set: LabelSet, labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return (n,) the right answer for each face, as an index into the model's `labels`."""
    order = np.array([labels.index(label) for label in EMOTIONS])
    return np.asarray(order[faces.truth(label_set)])


def shift_to_majority(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    class_prior: tuple[float, ...],
    exponent: float,
) -> tuple[float, ...]:
    """Fit the shift of the logits with which the annotators' majority ranks first.

    Args:
        logits: (n, labels) of the finished int8 model, for faces it was trained on.
        truth: (n,) index of what most annotators said.
        class_prior: Share of each label in training.
        exponent: How much of the class prior the logits lack, 0 to 1.

    Returns:
        One number for each label, in their order; they sum to 0 except for rounding.

    Raises:
        RefusedError: The logits say so little of the majority that no shift is of use.

    """
    shift = fit_shift(logits + exponent * np.log(np.array(class_prior)), truth)
    if np.abs(shift).max() > MOST_SHIFT:
        raise RefusedError(
            f"no shift up to {MOST_SHIFT} leads from the model's answers to the majority of the "
            "annotators: give the --scale and --labels that it was trained with"
        )
    return tuple(round(each, 4) for each in shift.tolist())


def fit_scores(
    logits: NDArray[np.float32],
    exam: Exam,
    options: Options,
    class_prior: tuple[float, ...],
    prior_exponent: float,
    shift: tuple[float, ...],
) -> ScoreSpec:
    """Fit temperature and thresholds to the logits that the device itself would compute.

    Args:
        logits: (n, labels) of the finished int8 model, for the faces of `exam`.
        exam: The faces and the truth.
        options: The labels, and the rule for the thresholds.
        class_prior: Share of each label in training.
        prior_exponent: How much of the class prior is put back, 0 to 1.
        shift: What is added to the logit of each label; empty for nothing.

    """
    shifted = logits + prior_exponent * np.log(np.array(class_prior))
    shifted += np.array(shift or 0.0)
    spec = ScoreSpec(
        temperature=round(fit_temperature(shifted, exam.truth), 4),
        class_prior=tuple(round(share, 8) for share in class_prior),
        prior_exponent=prior_exponent,
        thresholds=dict.fromkeys(options.labels, 0.0),
        shift=shift,
    )
    thresholds = fit_thresholds(
        scores_from_logits(logits, spec),
        exam.truth,
        target_precision=options.target_precision,
        max_uncertain=options.max_uncertain,
    )
    named = zip(options.labels, thresholds.tolist(), strict=True)
    return spec._replace(thresholds={label: round(value, 6) for label, value in named})


def named_figures(
    logits: NDArray[np.float32], exam: Exam, spec: ScoreSpec, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Measure what the thresholds do: how many faces are named, and how often rightly.

    Returns:
        Ready for JSON: the `share` of the faces that are named, the `accuracy` on those and on the
        uncertain ones, and for each label the share called uncertain and the precision without and
        with its threshold.

    """
    scores = scores_from_logits(logits, spec)
    top = scores.argmax(axis=1)
    wanted = np.array([spec.thresholds[label] for label in labels])
    named, right = scores.max(axis=1) >= wanted[top], top == exam.truth
    return {
        "share": _share(named),
        "accuracy": _share(right[named]),
        "accuracy_of_uncertain": _share(right[~named]),
        "labels": {
            label: {
                "uncertain": _share(~named[top == index]),
                "precision_without": _share(right[top == index]),
                "precision": _share(right[named & (top == index)]),
            }
            for index, label in enumerate(labels)
        },
    }


def _share(flags: NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if len(flags) else None

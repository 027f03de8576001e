"""Compare prior exponents: accuracy against macro-recall, as more class prior is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.classifier import scores_from_logits
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.evaluate import reaches_threshold, usable_faces
from training.metrics import measure
from training.options import EXPONENTS
from training.predict import check_exponent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from serenbox.model_metadata import ScoreSpec
    from training.data import Faces, LabelSet
    from training.predict import Prediction


def sweep_prior(
    faces: Faces,
    prediction: Prediction,
    label_set: LabelSet,
    exponents: Sequence[float] | None = None,
) -> Iterator[str]:
    """Yield two lines per exponent with the figures against the truth of `label_set`.

    The second line says how many faces are named because they reach the model's threshold, and how
    many of those are right.

    Args:
        faces: the faces of one split.
        prediction: a model's logits for them, row by row.
        label_set: whose labels are the truth.
        exponents: how much of the prior to put back, 0 (none) to what training kept out (all, at
            most 1); by default several up to that.

    Raises:
        RunError: An exponent is out of its range.
        DataError: No face is usable.

    """
    chosen = _chosen(exponents, prediction.kept_out)
    usable = usable_faces(faces)
    truth = faces[usable].truth(label_set)
    for exponent in chosen:
        spec = prediction.spec._replace(prior_exponent=exponent)
        scores = scores_from_logits(prediction.logits[usable], spec)
        figures = measure(scores, truth, EMOTIONS)
        recalls = ", ".join(
            f"{name} {one.recall:.0%}" for name, one in figures.classes.items() if one.support
        )
        yield (
            f"exponent {exponent:.2f}: accuracy {figures.accuracy:.2%}, "
            f"macro-recall {figures.macro_recall:.2%}, macro-F1 {figures.macro_f1:.3f}; {recalls}"
        )
        yield f"  {_of_the_named(scores, truth, spec)}"


def _chosen(exponents: Sequence[float] | None, most: float) -> Sequence[float]:
    if exponents is None:
        return sorted({most, *(usual for usual in EXPONENTS if usual < most)})
    for exponent in exponents:
        if not 0 <= exponent <= 1:
            msg = f"--exponents has {exponent:g}, and each must be from 0 to 1"
            raise RunError(msg)
        check_exponent("--exponents", exponent, most)
    return exponents


def _of_the_named(scores: NDArray[np.float32], truth: NDArray[np.int64], spec: ScoreSpec) -> str:
    answers = scores.argmax(axis=1)
    named, right = reaches_threshold(scores, spec), answers == truth
    if not named.any():
        return "no face is named"
    each = (
        f"{emotion} {right[chosen].mean():.0%} of {chosen.sum()}"
        for place, emotion in enumerate(EMOTIONS)
        if (chosen := named & (answers == place)).any()
    )
    return f"named {named.mean():.1%}, right of those {right[named].mean():.1%}: {', '.join(each)}"

"""How much of the class prior to put back: accuracy against macro-recall over the exponent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.classifier import scores_from_logits
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.data import Faces, LabelSet
    from training.predict import Prediction


def sweep_prior(
    faces: Faces, prediction: Prediction, label_set: LabelSet, exponents: Sequence[float]
) -> Iterator[str]:
    """Yield a line per exponent with the figures against the truth of `label_set`.

    Args:
        faces: the faces of one split.
        prediction: a model's logits for them, row by row.
        label_set: whose labels are the truth.
        exponents: how much of the prior to put back, 0 (none) to 1 (all).

    Raises:
        RunError: An exponent is out of its range.

    """
    for exponent in exponents:
        if not 0 <= exponent <= 1:
            msg = f"--exponents has {exponent:g}, and each must be from 0 to 1"
            raise RunError(msg)
    usable = faces.usable
    truth = faces[usable].truth(label_set)
    for exponent in exponents:
        spec = prediction.spec._replace(prior_exponent=exponent)
        figures = measure(scores_from_logits(prediction.logits[usable], spec), truth, EMOTIONS)
        recalls = ", ".join(
            f"{name} {one.recall:.0%}" for name, one in figures.classes.items() if one.support
        )
        yield (
            f"exponent {exponent:.2f}: accuracy {figures.accuracy:.2%}, "
            f"macro-recall {figures.macro_recall:.2%}, macro-F1 {figures.macro_f1:.3f}; {recalls}"
        )

"""The truth that papers on FER+ measure against, which leaves out disputed faces.

The code published with FER+ (Barsoum et al. 2016, arXiv 1608.01041; `majority` mode of
https://github.com/microsoft/FERPlus) ignores answers that a single annotator gave. A face counts if
one answer then has more than half of the votes, unless that answer is unknown or not-a-face.
Contempt is an eighth class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serenbox.results import EMOTIONS
from training.labels import FERPLUS_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

PUBLISHED_LABELS: tuple[str, ...] = (*EMOTIONS, "contempt")
"""The eight classes; no model of this project answers with the last one."""

LEFT_OUT = -1
"""In place of a class: the face does not count."""


def published_truth(ballots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of each face, or `LEFT_OUT`.

    Args:
        ballots: (n, 10) votes in the order of `FERPLUS_COLUMNS`.

    Returns:
        (n,) indices into `PUBLISHED_LABELS`.

    """
    heard = np.where(ballots > 1, ballots, 0)
    truth = np.array([_class_of(name) for name in FERPLUS_COLUMNS])[heard.argmax(axis=1)]
    return np.where(2 * heard.max(axis=1) > heard.sum(axis=1), truth, LEFT_OUT)


def _class_of(column: str) -> int:
    name = FERPLUS_COLUMNS[column] or column
    return PUBLISHED_LABELS.index(name) if name in PUBLISHED_LABELS else LEFT_OUT
